"""Checks of what plugins do in a network, for the judging and for the contract tests."""
