"""Reading data sets: files and archives of others, users' own arrays, and what a node keeps of them."""
