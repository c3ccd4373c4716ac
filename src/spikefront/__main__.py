"""``python -m spikefront``: the command line. The package itself has taken the current folder off the import path."""

from spikefront.search import main

main()
