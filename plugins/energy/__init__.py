"""Energy models: one file each."""
