"""Callbacks of a search. The engine calls them and does not depend on their implementation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from spikefront.searchspace.candidate import Candidate
from spikefront.searchspace.trial import SearchInfo, State

_log = logging.getLogger(__name__)


class Callbacks:
    """Called at each event of a search, in order, on the driver. Override any; each must return at once."""

    def search_started(self, search: SearchInfo) -> None:
        """Called once, before the first trial."""

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Called when a candidate has been chosen and is on its way to a worker.

        Args:
            number: the trial's number, from 0.
            candidate: what it evaluates.
            retry_of: number of the trial that evaluated the same until an earlier driver ended; None for a new one.
        """

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Called with the validation metrics of each epoch, counted from 1."""

    def trial_raised(self, number: int, traceback: str) -> None:
        """Called before ``trial_ended`` of a trial that failed with an exception, with its traceback."""

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        """Called before ``trial_ended`` of a trial whose network was measured when stopped after fewer steps, too.

        Args:
            number: the trial's number, from 0.
            points: metrics by T', the steps after which it is stopped.
        """

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Called once for each trial.

        Args:
            number: the trial's number, from 0.
            state: COMPLETE (evaluated at full budget), FAIL or PRUNED.
            reason: why it failed or was stopped; empty when it did neither.
            metrics: its last metrics; empty when there are none.
            weights: file with the trained weights, or None. What else lies there under its stem, as .json or .png,
                belongs to it.
        """

    def search_ended(self, reason: str) -> None:
        """Called once, however the search ends; ``reason`` says how, in a few words."""


class CallbackList(Callbacks):
    """Several callbacks, called in order. One that raises costs a warning, once, and never the search."""

    def __init__(self, *callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._warned: set[int] = set()

    def search_started(self, search: SearchInfo) -> None:
        self._call(lambda callback: callback.search_started(search))

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self._call(lambda callback: callback.trial_started(number, candidate, retry_of))

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self._call(lambda callback: callback.epoch_ended(number, epoch, metrics))

    def trial_raised(self, number: int, traceback: str) -> None:
        self._call(lambda callback: callback.trial_raised(number, traceback))

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        self._call(lambda callback: callback.points_measured(number, points))

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        self._call(lambda callback: callback.trial_ended(number, state, reason, metrics, weights))

    def search_ended(self, reason: str) -> None:
        self._call(lambda callback: callback.search_ended(reason))

    def _call(self, event: Callable[[Callbacks], None]) -> None:
        for index, callback in enumerate(self._callbacks):
            try:
                event(callback)
            except Exception as error:
                if index not in self._warned:
                    self._warned.add(index)
                    name, kind = type(callback).__name__, type(error).__name__
                    _log.warning("%s raised %s: %s; the search goes on", name, kind, error)
