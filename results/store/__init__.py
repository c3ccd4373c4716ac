"""The MLflow store: connection, schema, runs, artifacts and the recorder of a search."""
