"""Hands each event of a search to several listeners."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from spikefront.searchspace import Candidate, Listener, SearchInfo, State


class Listeners:
    """A listener that passes each event on.

    Args:
        listeners: told in this order. At the end of the search all of them are told, even if one raises.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def search_started(self, search: SearchInfo) -> None:
        """Pass on the start of the search."""
        for listener in self._listeners:
            listener.search_started(search)

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Pass on the start of a trial."""
        for listener in self._listeners:
            listener.trial_started(number, candidate, retry_of)

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Pass on the metrics of an epoch."""
        for listener in self._listeners:
            listener.epoch_ended(number, epoch, metrics)

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Pass on the end of a trial."""
        for listener in self._listeners:
            listener.trial_ended(number, state, reason, metrics, weights)

    def search_ended(self, reason: str) -> None:
        """Pass on the end of the search."""
        with ExitStack() as stack:
            for listener in reversed(self._listeners):
                stack.callback(listener.search_ended, reason)
