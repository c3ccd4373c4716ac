"""Evaluation of one candidate: network, training, operation counts. No Ray, no Optuna, no MLflow."""
