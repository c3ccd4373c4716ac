"""Parts of networks: signals, layers, operation counts, the membrane."""
