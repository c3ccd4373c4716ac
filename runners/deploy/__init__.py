"""Trained networks leave the search: in files of their own and in formats of others, each with a model card."""
