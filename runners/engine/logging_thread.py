"""Loggers of a search: each hears the events in a thread of its own, for which the search does not wait."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spikefront.plugins import Logger
from spikefront.runners.failures import one_line
from spikefront.searchspace import Callbacks, Candidate, SearchInfo, State
from spikefront.searchspace.secrets import redact

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.5


class LoggerThread(Callbacks):
    """Callbacks that hand each event on to a logger in a thread of its own, and return at once.

    Whatever the logger raises costs one warning, and later events are delivered all the same.

    Args:
        logger: the logger.
        patience_s: once the search has ended, how many seconds to wait for a logger that finishes no event.
    """

    def __init__(self, logger: Logger, patience_s: float = _PATIENCE_S) -> None:
        self._logger = logger
        self._patience_s = patience_s
        self._events: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"spikefront-{logger.name}", daemon=True)
        self._finished = 0.0  # when the last event was
        self._warned = False

    def search_started(self, search: SearchInfo) -> None:
        self._thread.start()
        self._put("search_started", search)

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self._put("trial_started", number, candidate, retry_of)

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self._put("epoch_ended", number, epoch, dict(metrics))

    def trial_raised(self, number: int, traceback: str) -> None:
        self._put("trial_raised", number, traceback)

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        self._put("points_measured", number, dict(points))

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        self._put("trial_ended", number, state, reason, dict(metrics), weights)

    def search_ended(self, reason: str) -> None:
        """Hand the end on, and wait until all events are worked off, or one takes longer than the patience."""
        if not self._thread.is_alive():
            return
        self._put("search_ended", reason)
        self._events.put(None)
        self._finished = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(_LOOK_S)
            if time.monotonic() - self._finished > self._patience_s:
                left = max(1, self._events.qsize())
                text = "logger %s takes more than %g s for one event; the search ends without it, %d events are left"
                _log.warning(text, self._logger.name, self._patience_s, left)
                return

    def _put(self, event: str, *arguments: Any) -> None:
        self._events.put((event, arguments))

    def _run(self) -> None:
        while (found := self._events.get()) is not None:
            event, arguments = found
            try:
                getattr(self._logger, event)(*arguments)
            except (Exception, SystemExit) as error:  # it is a plugin, and the search goes on
                if not self._warned:
                    self._warned = True
                    text = "logger %s: %s raised %s; the search goes on"
                    _log.warning(text, self._logger.name, event, redact(one_line(error))[:300])
            self._finished = time.monotonic()
