"""Results of searches: the MLflow store, queries, comparisons, the report and the live view."""
