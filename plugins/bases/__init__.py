"""Bases that several codings, tasks, neurons, backbones or samplers share."""
