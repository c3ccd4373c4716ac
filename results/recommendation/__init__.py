"""Recommendation: which coding is the best within a budget, how surely, and with which trainings that is found out."""
