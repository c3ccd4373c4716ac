"""Where trials run: Ray, its nodes, workers and their data."""
