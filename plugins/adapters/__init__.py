"""Parts of other libraries as plugins: their neurons, and networks that were written for them."""
