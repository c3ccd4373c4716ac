"""The scoreboard of a search: which trials were judged, and which of them are on the front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from spikefront.searchspace import Objective, Value
from spikefront.searchspace.front import Losses, losses, pareto_ranks, volume

_Any = TypeVar("_Any")


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that was judged.

    Attributes:
        number: the trial's number, from 0.
        metrics: its last metrics, by name.
        candidate: what was judged, as ``Candidate.flat`` writes it.
    """

    number: int
    metrics: Mapping[str, float]
    candidate: Mapping[str, Value]


def format_quality(value: float) -> str:
    """Write a quality with four digits behind the point, from 10 on with five in all: ``0.9614``, ``173.12``."""
    digits = 4 if abs(value) < 10 or not math.isfinite(value) else max(0, 4 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def spread(members: Sequence[_Any], most: int) -> list[_Any]:
    """Pick at most ``most`` (2 or more) members, evenly, both ends among them."""
    if len(members) <= most:
        return list(members)
    return [members[round(place * (len(members) - 1) / (most - 1))] for place in range(most)]


class Scoreboard:
    """The completed trials of one search and the front among them.

    Args:
        objectives: the axes of the front.

    Attributes:
        trials: completed trials by number.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self.trials: dict[int, Trial] = {}
        self._losses: dict[int, Losses] = {}
        self._front: set[int] = set()
        self._ranks: dict[int, int] | None = {}

    def add(self, trial: Trial, state: str) -> bool:
        """Take in a trial that ended. Telling the same trial again changes nothing.

        Only COMPLETE trials with a finite value on each axis (positive on a logarithmic one) enter: the others were
        not judged at full budget, and do not compare.

        Returns:
            Whether the front changed.
        """
        loss = self._loss(trial.metrics) if state == "COMPLETE" else None
        if loss is None or trial.number in self.trials:
            return False
        self.trials[trial.number] = trial
        self._losses[trial.number] = loss
        self._ranks = None
        members = [(number, self._losses[number]) for number in self._front]
        if any((other <= loss).all() and (other < loss).any() for _, other in members):
            return False
        self._front -= {number for number, other in members if (loss <= other).all() and (loss < other).any()}
        self._front.add(trial.number)
        return True

    def _loss(self, metrics: Mapping[str, float]) -> Losses | None:
        values = [metrics.get(axis.metric, math.nan) for axis in self.objectives]
        for value, axis in zip(values, self.objectives, strict=True):
            if not math.isfinite(value) or (axis.log and value <= 0):
                return None
        loss: Losses = losses([values], self.objectives)[0]
        return loss

    @property
    def front(self) -> list[Trial]:
        """The members of the front, cheapest first: in the order of the axes after quality, then by number."""
        order = sorted(self._front, key=lambda number: (*self._losses[number][1:], number))
        return [self.trials[number] for number in order]

    @property
    def ranks(self) -> Mapping[int, int]:
        """Pareto rank of each completed trial by number; 0 is the front."""
        if self._ranks is None:
            ranks = pareto_ranks(np.stack(list(self._losses.values())))
            self._ranks = dict(zip(self._losses, ranks.tolist(), strict=True))
        return self._ranks

    @property
    def hypervolume(self) -> float:
        """Share of the space between worst and ideal that the front dominates, from 0 to 1."""
        if not self._front:
            return 0.0
        return volume(np.stack([self._losses[number] for number in self._front]))

    @property
    def best(self) -> Trial | None:
        """The completed trial that is best on the first axis, quality; the earliest of equals."""
        best: Any = min(self._losses, key=lambda number: (self._losses[number][0], number), default=None)
        return None if best is None else self.trials[best]
