"""Trials in flight, and what their workers report."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from spikefront.runners.engine.memory.order import trained_share
from spikefront.runners.engine.memory.study import Cost
from spikefront.runners.engine.placing.files import BEFORE, POINTS
from spikefront.searchspace import Candidate, Value
from spikefront.searchspace.trial import COMPUTE


@dataclass(slots=True)
class Running:
    """A trial in flight: what it evaluates, and what has been heard of it."""

    number: int
    candidate: Candidate
    flat: Mapping[str, Value]
    metrics: dict[str, float] = field(default_factory=dict)
    points: dict[int, dict[str, float]] = field(default_factory=dict)  # by T', after the last epoch
    epoch: int = 0
    history: dict[int, Mapping[str, float]] = field(default_factory=dict)
    counted_s: float = math.nan  # predicted time of its evaluation, by its operations
    ready: float = math.inf  # when it is predicted to end
    started: float = field(default_factory=time.monotonic)

    @property
    def budget(self) -> int:
        return self.candidate.training.schedule.epochs

    def hear(
        self, epoch: int, metrics: dict[str, float], points: Mapping[int, dict[str, float]] = MappingProxyType({})
    ) -> None:
        """Take the metrics of an epoch, and those of the network stopped after fewer steps, by T'."""
        self.epoch, self.points = epoch, dict(points)
        self.metrics = self.history[epoch] = metrics

    def charged(self) -> dict[str, float]:
        """Return the last metrics, with the compute of the trial where that can be counted."""
        if not math.isfinite(self.counted_s):
            return self.metrics
        share = trained_share(self.flat, {"epoch": self.epoch, "metrics": self.metrics})
        return {**self.metrics, COMPUTE: share * self.counted_s}

    def cost(self) -> Cost | None:
        """Return what the whole evaluation takes at the speed of the epochs that ran; None where that says nothing."""
        if not self.history or not math.isfinite(self.counted_s) or self.metrics.get("ann_trained") == 0:
            return None
        # a conversion coding's one step is the whole of its budget
        epochs = self.epoch if "ann_trained" in self.metrics else len(self.history)
        seconds = sum(metrics["seconds"] for metrics in self.history.values())
        return {"counted_s": self.counted_s, "measured_s": seconds * self.budget / epochs}


def metrics_of(result: Mapping[str, Any], prefix: str = "metrics/") -> dict[str, float]:
    """Pick the metrics out of a result, which Tune flattens."""
    return {key.removeprefix(prefix): float(value) for key, value in result.items() if key.startswith(prefix)}


def points_of(result: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Pick the metrics of each point out of a result, by T': ``points/4/quality`` is one."""
    cuts = {key.split("/", 2)[1] for key in result if key.startswith(f"{POINTS}/")}
    return {int(cut): metrics_of(result, f"{POINTS}/{cut}/") for cut in sorted(cuts, key=int)}


def earlier_epochs(result: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Pick the metrics of the epochs before a checkpoint out of the first result of a trial that goes on from it."""
    found: dict[int, dict[str, float]] = {}
    for key, value in metrics_of(result, f"{BEFORE}/").items():
        epoch, _, name = key.partition("/")
        found.setdefault(int(epoch), {})[name] = value
    return found
