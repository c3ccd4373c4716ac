"""Judging one candidate: assembly, training, op counting. No Ray, no Optuna, no MLflow."""
