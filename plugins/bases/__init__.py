"""Bases of plugins: what several codings, tasks, neurons or backbones share."""
