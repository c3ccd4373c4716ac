"""Asynchronous successive halving over epochs, for several objectives.

From Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Schmucker et al. 2021, "Multi-objective
Asynchronous Successive Halving" and, for farthest first, Gonzalez 1985, "Clustering to Minimize the Maximum
Intercluster Distance". Ours scales objectives, lets budgets differ, and has quotas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypedDict, cast

import moocore
import numpy as np
from numpy.typing import NDArray

from spikefront.plugins import PINNED, Int, Objective, StoppingRule, Trial, UsageError, hookimpl
from spikefront.searchspace.errors import OptionError, shown
from spikefront.searchspace.front import objective_vector

FIRST_SHARE: Final = 0.05
"""Least share of the epochs at a rung."""
_EARLY: Final = 0.15
"""Share of the epochs below which a rung lies at ``_LEARNING`` epochs or more, or is left out."""
_LEARNING: Final = 3
"""Epochs before which latency codes are at chance, so that quality says nothing of them."""

_ROUNDING: Final = 1e-9


class RungRecord(TypedDict):
    """Record of a trial at a rung, counted from 0, as plain JSON; ``vector`` is the objective vector."""

    number: int
    coding: str
    rung: int
    vector: list[float]
    went_on: bool


def rung_shares(first: float = FIRST_SHARE, reduction: int = 3) -> tuple[float, ...]:
    """Return the shares of the epochs at which rungs lie: ``first``, and each ``reduction`` times the one before."""
    return tuple(first * reduction**rung for rung in range(math.ceil(math.log(1 / first, reduction) - _ROUNDING)))


class Rungs:
    """Asynchronous successive halving over epochs, by Pareto rank.

    A rung lies at a share of a trial's own budget, rounded up to whole epochs, never at its last epoch. One below 15 %
    needs three epochs: a budget of 40 or less has none, because a latency code knows nothing by then. Where a short
    budget puts two rungs at one epoch, the later one counts: its share is nearer to what was spent. A trial that comes
    to a rung is compared at once with all that came to it before, stopped or not; no trial waits.

    A place is found by peeling off Pareto fronts. Inside a front, the best on the first objective leads, and then
    always the one farthest from those before it, each objective scaled to the range of what is compared; among equals
    the lower number leads. Of n entries compared, the first ``floor(n / reduction)`` are good. A trial goes on when

    1. the rung has fewer than ``reduction`` entries, the trial among them; or
    2. it is one of the first ``quota`` entries of its coding there; or
    3. it is good among all entries; or
    4. it is good among the entries of its own coding; or
    5. without it, fewer than ``floor(k / reduction)`` of the k entries of its coding would have gone on;

    and is stopped otherwise. By 4 and 5 faster starters wipe no coding out: its best go on, and never less than the
    share 1 / ``reduction`` of it, in whatever order they come. What went past a rung once passes it again, with the
    new vector in place of the old: a lost worker is not the candidate's fault.

    Args:
        objectives: what is compared; quality first.
        shares: where the rungs lie: rising, from ``FIRST_SHARE`` to below 1. None stands for ``rung_shares``.
        reduction: of how many one goes on; 2 or more.
        quota: how many of each coding pass each rung without comparison; 0 or more.

    Raises:
        UsageError: when a value is out of its range.
    """

    def __init__(
        self, objectives: Sequence[Objective], shares: Sequence[float] | None = None, reduction: int = 3, quota: int = 2
    ) -> None:
        if reduction < 2:
            raise OptionError("reduction", reduction, "must be 2 or more")
        if quota < 0:
            raise UsageError(f"a quota of {quota} must be 0 or more")
        self.shares = rung_shares(reduction=reduction) if shares is None else tuple(shares)
        if not all(FIRST_SHARE <= share < 1 for share in self.shares) or sorted({*self.shares}) != [*self.shares]:
            listed = ",".join(f"{share:g}" for share in self.shares)
            raise OptionError("rungs", listed, f"must be rising shares of the epochs, from {FIRST_SHARE:g} to below 1")
        self.objectives, self.reduction, self.quota = tuple(objectives), reduction, quota
        self._entries: list[dict[int, RungRecord]] = [{} for _ in self.shares]

    def rung_epochs(self, budget: int) -> dict[int, int]:
        """Return the rungs by the epoch, from 1, at which a trial of ``budget`` epochs comes to them."""
        epochs = {math.ceil(share * budget - _ROUNDING): rung for rung, share in enumerate(self.shares)}
        learning = {epoch for epoch, rung in epochs.items() if self.shares[rung] < _EARLY and epoch < _LEARNING}
        return {epoch: rung for epoch, rung in epochs.items() if epoch < budget and epoch not in learning}

    def decide(self, number: int, coding: str, epoch: int, budget: int, metrics: Mapping[str, float]) -> str | None:
        """Record an epoch of a trial, and return the reason to stop it, or None.

        Args:
            number: the trial's number.
            coding: name of its coding.
            epoch: the epoch that ended, from 1.
            budget: the trial's epochs in all.
            metrics: what was measured. Nothing is recorded where an objective is not finite: such a trial fails.
        """
        rung = self.rung_epochs(budget).get(epoch)
        if rung is None:
            return None
        try:
            vector = objective_vector(metrics, self.objectives)
        except ValueError:
            return None
        entries = self._entries[rung]
        passed = number in entries and entries[number]["went_on"]
        entries[number] = RungRecord(number=number, coding=coding, rung=rung, vector=vector, went_on=passed)
        places = None if passed else self._compare(entries[number])
        if places is None:
            entries[number]["went_on"] = True
            return None
        return f"stopped at rung {rung + 1} of {len(self.shares)} (epoch {epoch} of {budget}): {places}"

    def state(self, number: int | None = None) -> list[RungRecord]:
        """Return the records of all trials, or of one, for ``restore``."""
        wanted = (entries.keys() if number is None else entries.keys() & {number} for entries in self._entries)
        return [deepcopy(entries[key]) for entries, keys in zip(self._entries, wanted, strict=True) for key in keys]

    def restore(self, records: Iterable[RungRecord]) -> None:
        """Add records of an earlier run, in any order. Those of rungs that no longer exist are left out.

        Raises:
            ValueError: when one is not a record; none is added then.
        """
        known = list(records)
        for record in known:
            if not self._is_record(record):
                raise ValueError(f"{shown(record)} is not a record of a rung")
        for record in known:
            if record["rung"] < len(self.shares):
                self._entries[record["rung"]][record["number"]] = deepcopy(record)

    def _is_record(self, record: object) -> bool:
        if not isinstance(record, dict) or not record.keys() >= RungRecord.__annotations__.keys():
            return False
        vector = record["vector"]
        is_vector = isinstance(vector, list) and len(vector) == len(self.objectives)
        return (
            all(type(record[name]) is int and record[name] >= 0 for name in ("number", "rung"))
            and isinstance(record["coding"], str)
            and isinstance(record["went_on"], bool)
            and is_vector
            and all(type(value) in (int, float) and math.isfinite(value) for value in vector)
        )

    def _compare(self, newcomer: RungRecord) -> str | None:
        """Return the places of an entry that is to be stopped, or None."""
        entries = list(self._entries[newcomer["rung"]].values())
        kin = [record for record in entries if record["coding"] == newcomer["coding"]]
        owed = len(kin) // self.reduction - sum(record["went_on"] for record in kin)
        if len(entries) < self.reduction or len(kin) <= self.quota or owed > 0:
            return None
        place, kin_place = self._place(newcomer, entries), self._place(newcomer, kin)
        if place <= len(entries) // self.reduction or kin_place <= len(kin) // self.reduction:
            return None
        return f"rank {place} of {len(entries)} by Pareto rank, {kin_place} of {len(kin)} among {newcomer['coding']}"

    def _place(self, entry: RungRecord, entries: Iterable[RungRecord]) -> int:
        """Return the place, from 1, of one of the entries among all."""
        ordered = sorted(entries, key=lambda record: record["number"])
        signs = [-1.0 if objective.maximize else 1.0 for objective in self.objectives]
        losses = np.array([record["vector"] for record in ordered]) * signs
        low = losses.min(axis=0)
        span = losses.max(axis=0) - low
        ranks, mine = np.asarray(moocore.pareto_rank(losses)), ordered.index(entry)
        front = np.flatnonzero(ranks == ranks[mine])
        order = farthest_first((losses[front] - low) / np.where(span > 0, span, 1.0))
        return int((ranks < ranks[mine]).sum()) + 1 + order.index(front.tolist().index(mine))


def farthest_first(points: NDArray[np.float64]) -> list[int]:
    """Order points of shape (n, m): the least in the first column, then always the farthest from all before it."""
    order = [int(np.lexsort(points.T[::-1])[0])]
    distances = np.full(len(points), np.inf)
    while len(order) < len(points):
        distances = np.minimum(distances, np.linalg.norm(points - points[order[-1]], axis=1))
        distances[order[-1]] = -1.0  # or a point might be taken again when its equals are left
        order.append(int(distances.argmax()))
    return order


@dataclass(frozen=True, slots=True)
class HalvingConfig:
    """Hyperparameters of successive halving."""

    reduction: Annotated[int, Int(2, 100), PINNED] = 3
    """Of so many trials at a rung one goes on."""
    quota: Annotated[int, Int(0, 1000), PINNED] = 2
    """Trials of each coding that pass each rung without comparison."""


class Halving(StoppingRule):
    """Asynchronous successive halving over epochs, by Pareto rank.

    The quality compared is the best of any epoch so far, which ranks candidates better than that of one epoch does: on
    15,625 networks with 100 epochs, Spearman's correlation with the final accuracy is 0.79 at 15 % of the epochs (of
    one epoch 0.71) and 0.95 at 45 % (0.90). Where the epoch's quality is not finite, the trial fails.

    Args:
        config: its ``Config``, or None for the defaults.
        shares: shares of the epochs at which trials are compared; None for 0.05 and each ``reduction`` times the last.
    """

    name = "halving"
    Config = HalvingConfig
    config: HalvingConfig

    def __init__(self, config: HalvingConfig | None = None, *, shares: Sequence[float] | None = None) -> None:
        super().__init__(config)
        self._shares = shares
        self.begin((), chance=0.0, best=1.0)  # refuses wrong shares at once

    def begin(self, objectives: Sequence[Objective], *, chance: float, best: float) -> None:
        self._rungs = Rungs(objectives, self._shares, self.config.reduction, self.config.quota)

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        metrics = self._best_so_far(trial.epoch, history)
        return self._rungs.decide(trial.number, trial.coding, trial.epoch, trial.budget, metrics)

    def _best_so_far(self, epoch: int, history: Mapping[int, Mapping[str, float]]) -> Mapping[str, float]:
        """Return the metrics of an epoch, with the best quality of all epochs up to it."""
        metrics, quality = history.get(epoch, {}), self._rungs.objectives[0]
        if quality.metric not in metrics:
            return metrics
        known = [history[past].get(quality.metric, math.nan) for past in history if past < epoch]
        values = [metrics[quality.metric], *filter(math.isfinite, known)]
        return {**metrics, quality.metric: max(values) if quality.maximize else min(values)}

    def state(self, number: int) -> list[RungRecord] | None:
        return self._rungs.state(number) or None

    def restore(self, number: int, state: Any) -> None:
        self._rungs.restore(cast(RungRecord, {**record, "number": number}) for record in state)


@hookimpl
def register_stopping_rules(register: Callable[[type[StoppingRule]], None]) -> None:
    register(Halving)
