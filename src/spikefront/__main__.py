"""``python -m spikefront``: the command line."""

from spikefront.search import main

main()
