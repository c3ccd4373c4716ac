"""Loggers of whole trials: what is heard of a trial is put together, and logged at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spikefront.plugins.contracts import Logger
from spikefront.searchspace import Candidate, Front, SearchInfo, State, Trial


class TrialLogger(Logger):
    """A logger that gets each trial once, whole, when it has ended; also those that ended under an earlier driver.

    Define ``begin`` and ``log``. A subclass that overrides a callback calls that of this class as well.

    Attributes:
        search: the search; there is one from ``begin`` on.
        front: the trials so far, and the front among them.
    """

    search: SearchInfo
    front: Front

    def begin(self, search: SearchInfo) -> None:
        """Open what is written. Called once, before any ``log``."""

    def is_logged(self, number: int) -> bool:
        """Return whether a trial that ended before this driver started is where it belongs; then it is left out."""
        return False

    def log(self, trial: Trial) -> None:
        """Log a trial that has ended, of which ``front`` knows."""
        raise TypeError(f"{type(self).__name__} must define log(trial)")

    def search_started(self, search: SearchInfo) -> None:
        self.search, self.front = search, Front(search.objectives)
        self._running: dict[int, Trial] = {}
        self.begin(search)
        for trial in search.earlier or ():
            self.front.add(trial)
            if not self.is_logged(trial.number):
                self.log(trial)

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self._running[number] = Trial(number, "RUNNING", candidate.flat(), retry_of=retry_of)

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self._running[number] = replace(self.running(number), epoch=epoch, metrics=metrics)

    def trial_raised(self, number: int, traceback: str) -> None:
        self._running[number] = replace(self.running(number), traceback=traceback)

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        self._running[number] = self.running(number).with_points(points)

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        last = self.running(number)
        self._running.pop(number, None)
        trial = replace(last, state=state, reason=reason, metrics=metrics, weights=weights)
        trial = trial.with_points({point.cut: point.metrics for point in last.points})
        self.front.add(trial)
        self.log(trial)

    def running(self, number: int) -> Trial:
        """Return what is known so far of a trial that runs."""
        return self._running.get(number, Trial(number, "RUNNING"))
