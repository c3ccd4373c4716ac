"""Searching: one Optuna study in a journal file, Ray Tune to place trials."""
