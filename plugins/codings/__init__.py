"""Coding schemes: one file each."""
