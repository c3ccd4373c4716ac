"""What networks are made of: signals, layers, operation counts, the membrane."""
