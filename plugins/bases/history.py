"""Finished trials of an Optuna study as arrays, each of them read once."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState


class History:
    """The trials of a study, for samplers that look at all of them whenever they propose.

    A trial that has ended does not change, so it is read once, whichever sampler of the study it is that reads: at a
    thousand trials, reading them again takes longer than what a sampler does besides.

    Attributes:
        count: how many trials there are, with those that run.
        complete: trials with values, by number.
        rows: their values, then by how much they overstep constraints in all: floats, (trials, objectives + 1).
        points: of each, what its attribute ``points`` has: rows alike, or none.
    """

    def __init__(self, objectives: int) -> None:
        self.count = 0
        self.complete: list[FrozenTrial] = []
        self.rows: NDArray[np.float64] = np.empty((0, objectives + 1))
        self.points: list[NDArray[np.float64]] = []
        self._no_points = np.empty((0, objectives + 1))  # not a view of the rows, which would keep them
        self._numbers: list[int] = []  # of the trials with values
        self._running: list[int] = []
        self._unfinished: list[Mapping[str, Any]] = []  # parameters of those that run
        self._tried: set[frozenset[tuple[str, Any]]] = set()

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        """Return whether a trial, finished or not, has just these parameters."""
        return frozenset(params.items()) in self._tried or params in self._unfinished

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Read the trials of the study that have ended since the last time."""
        numbers, self._running = [*self._running, *range(self.count, len(trials))], []
        self.count, self._unfinished = len(trials), []
        for number in numbers:
            trial = trials[number]
            if trial.state.is_finished():
                self._read(trial)
            else:
                self._running.append(number)
                self._unfinished.append(trial.params)

    def with_points(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the rows of all trials, then of all points, and to which of the trials each belongs."""
        places = np.arange(len(self.rows))
        owners = np.repeat(places, [len(some) for some in self.points])
        return np.concatenate([self.rows, *self.points]), np.concatenate([places, owners])

    def _read(self, trial: FrozenTrial) -> None:
        self._tried.add(frozenset(trial.params.items()))
        if trial.state is TrialState.COMPLETE:
            excess = sum(max(over, 0.0) for over in trial.constraints.values()) if trial.system_attrs else 0.0
            place = bisect(self._numbers, trial.number)
            self._numbers.insert(place, trial.number)
            self.complete.insert(place, trial)
            self.rows = np.insert(self.rows, place, [*trial.values, excess], axis=0)
            self.points.insert(place, trial.user_attrs.get("points", self._no_points))


_OF_STUDIES: WeakKeyDictionary[optuna.Study, History] = WeakKeyDictionary()


def history_of(study: optuna.Study) -> History:
    """Return the history of a study, up to date."""
    if study not in _OF_STUDIES:
        _OF_STUDIES[study] = History(len(study.directions))
    history = _OF_STUDIES[study]
    history.read(study.get_trials(deepcopy=False))
    return history
