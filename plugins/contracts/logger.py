"""The contract of a logger, which hears every event of a search."""

from __future__ import annotations

from typing import Any

from spikefront.plugins.contracts.plugin import Plugin
from spikefront.searchspace.callbacks import Callbacks


class Logger(Plugin, Callbacks):
    """A logger: the callbacks of a search, on the driver, in a thread of its own.

    Override those of the methods of ``Callbacks`` that matter. They are called one after the other, in the order of the
    events; the search does not wait for them, so they may take their time, and those of another logger run meanwhile.
    When the search has ended, it waits as long as events are still worked off, and no more than a minute for one.

    One instance serves one driver, and the same process calls all of its methods: nothing is pickled. A search that is
    resumed has a new instance, whose ``search_started`` gets a search with ``resumed`` set, and in ``search.earlier``
    all trials that have ended before: among them those of whose end a driver that was killed could not tell. A trial
    that was broken off is evaluated again under another number, and its ``trial_started`` names the old one.

    An exception costs one warning, the first of a search, and that event; later events are delivered all the same.

    Args:
        config: its ``Config``, or None for the defaults. The constructor runs before any trial starts, and is the place
            to raise ``UsageError`` for what can't work, such as a key that is missing. It leaves nothing behind.
    """

    def __init__(self, config: Any = None) -> None:
        self._configure(config)
