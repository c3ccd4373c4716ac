"""Rules that stop trials early: one file each."""
