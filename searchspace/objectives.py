"""What a search optimises, and what it says about itself to whoever listens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikefront.searchspace.domains import Value


@dataclass(frozen=True, slots=True)
class Objective:
    """One axis of the front.

    Attributes:
        metric: name of the metric.
        maximize: whether more is better.
        worst: value that counts as no achievement; hypervolume is measured from here.
        best: the ideal value.
        log: whether the axis is logarithmic (base 10).
    """

    metric: str
    maximize: bool
    worst: float
    best: float
    log: bool = False

    def told(self, value: float) -> float:
        """Return the value as the sampler sees it: its logarithm where the axis is logarithmic."""
        return math.log10(value) if self.log else value

    def loss(self, value: float) -> float:
        """Return the value on a scale to be minimised, on which ``best`` is 0 and ``worst`` is 1."""
        worst, best = self.told(self.worst), self.told(self.best)
        return (self.told(value) - best) / (worst - best)


ENERGY: Final = Objective("energy_nj", maximize=False, worst=1e7, best=1.0, log=True)
"""Energy per sample: from 1 nJ to 10 mJ, seven decades."""

LATENCY: Final = Objective("latency_steps", maximize=False, worst=64.0, best=1.0, log=True)
"""Time steps from the first input to the output."""


@dataclass(frozen=True, slots=True)
class EarlierTrial:
    """A trial that ended before the search was resumed.

    Attributes:
        number: its number, from 0.
        candidate: flat form of its candidate; empty if its driver died before it was chosen.
        state: COMPLETE, FAIL or PRUNED.
        reason: why it failed or was stopped.
        metrics: its last metrics.
        epoch: the epoch that they belong to.
        again: whether it was broken off and is judged again under another number.
        retry_of: number of the trial that judged the same until an earlier driver ended; None for a new one.
        weights: file with the trained weights, or None.
    """

    number: int
    candidate: Mapping[str, Value]
    state: str
    reason: str
    metrics: Mapping[str, float]
    epoch: int
    again: bool
    retry_of: int | None = None
    weights: Path | None = None


@dataclass(frozen=True, slots=True)
class SearchInfo:
    """What a search tells whoever listens, when it starts.

    Attributes:
        name: the search's name, unique among its neighbours.
        task: name of the task.
        quality: the task's own name for its quality metric, for example ``accuracy``.
        objectives: the axes of the front; the first is quality.
        folder: where it keeps its files.
        trials: trials asked for, or None when only the time is limited.
        time_s: seconds asked for, or None.
        options: all settings, for the record.
        plugins: version of each plugin by ``kind.name``.
        earlier: trials that ended before this driver started; None for a new search.
        energy_model: name of what prices the operations.
    """

    name: str
    task: str
    quality: str
    objectives: tuple[Objective, ...]
    folder: Path
    trials: int | None
    time_s: float | None
    options: Mapping[str, Value]
    plugins: Mapping[str, str]
    earlier: tuple[EarlierTrial, ...] | None = None
    energy_model: str = "horowitz-45nm"
