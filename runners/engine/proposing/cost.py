"""Prediction of evaluation time: operation count, calibrated on finished trials."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from spikefront.runners.engine.memory.study import Cost
from spikefront.searchspace import Candidate


@dataclass(frozen=True, slots=True)
class _Measured:
    parts: tuple[str, str, str]
    log_ratio: float


class CostModel:
    """Predicted seconds of a candidate's evaluation: a count of its operations, corrected by measurements.

    The correction is the mean of log(measured / counted) over the last trials, and one trial that was right: each
    weighs 1, and 4 more for each of coding, neuron and backbone that it has in common with the candidate.

    Args:
        count: returns the seconds of a candidate by its operations; infinite where they can't be counted.
    """

    remembered: Final = 64
    """Trials that a prediction is corrected by: the last ones."""

    def __init__(self, count: Callable[[Candidate], float]) -> None:
        self._count = count
        self._measured: deque[_Measured] = deque(maxlen=self.remembered)
        self._counted: dict[Candidate, float] = {}

    def predict(self, candidate: Candidate) -> float:
        """Return the seconds that the whole evaluation of a candidate will take."""
        parts, weight, total = _parts(candidate), 1.0, 0.0
        for trial in self._measured:
            here = 1.0 + 4.0 * sum(a == b for a, b in zip(trial.parts, parts, strict=True))
            weight, total = weight + here, total + here * trial.log_ratio
        return self.counted(candidate) * math.exp(total / weight)

    def counted(self, candidate: Candidate) -> float:
        """Return the seconds by the count alone."""
        if candidate not in self._counted:
            self._counted[candidate] = self._count(candidate)
            if len(self._counted) > 4 * self.remembered:
                del self._counted[next(iter(self._counted))]
        return self._counted[candidate]

    def measured(self, candidate: Candidate, counted_s: float, measured_s: float) -> None:
        """Add the time of a finished trial.

        Args:
            candidate: what was evaluated.
            counted_s: what ``counted`` returned before, in seconds.
            measured_s: time of its whole evaluation, at the speed of the epochs that ran.
        """
        if 0 < counted_s < math.inf and 0 < measured_s < math.inf:
            self._measured.append(_Measured(_parts(candidate), math.log(measured_s / counted_s)))

    def remember(self, trials: Iterable[tuple[Candidate, Cost]]) -> None:
        """Add the times of trials that ended before the search was resumed."""
        for candidate, cost in trials:
            self.measured(candidate, **cost)


def _parts(candidate: Candidate) -> tuple[str, str, str]:
    return candidate.coding.name, candidate.neuron.name, candidate.backbone.name
