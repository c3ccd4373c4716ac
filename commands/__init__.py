"""The commands: one file for each, with the function of the Python API that it is made of."""
