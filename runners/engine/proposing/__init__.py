"""Which candidate is evaluated next, and what it costs."""
