"""Stopping early: successive halving over epochs for several objectives, and networks that tell nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, TypedDict

import moocore
import numpy as np
from numpy.typing import NDArray
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from spikefront.runners.engine.memory.study import told_values
from spikefront.searchspace import Objective, UsageError

Metrics = Mapping[str, float]

FIRST_SHARE: Final = 0.15
"""Share of the epochs before which none is judged: accuracy at 5 % wrongs latency codes, at 15 % it ranks well."""

_SATURATED, _LEARNT_NOTHING, _ROUNDING = 0.95, 0.05, 1e-9


class RungRecord(TypedDict):
    """What a rung, counted from 0, keeps of a trial: plain JSON. ``vector`` is what the sampler would be told."""

    number: int
    coding: str
    rung: int
    vector: list[float]
    went_on: bool


def rung_shares(first: float = FIRST_SHARE, reduction: int = 3) -> tuple[float, ...]:
    """Return the shares below 1 at which trials are judged: ``first``, and each ``reduction`` times the last."""
    return tuple(first * reduction**rung for rung in range(math.ceil(math.log(1 / first, reduction) - _ROUNDING)))


class Rungs:
    """Asynchronous successive halving over epochs, by Pareto rank.

    A rung lies at a share of a trial's own budget, rounded up to whole epochs, never at its last epoch. Where a short
    budget puts two rungs at one epoch, the later one counts: its share is nearer to what was spent. A trial that comes
    to a rung is compared at once with all that came to it before, stopped or not; nobody waits.

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

    From Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Schmucker et al. 2021,
    "Multi-objective Asynchronous Successive Halving" and, for farthest first, Gonzalez 1985, "Clustering to Minimize
    the Maximum Intercluster Distance". Ours scales objectives, lets budgets differ, and has quotas.

    Args:
        objectives: what is compared; quality first.
        shares: where the rungs lie: rising, from ``FIRST_SHARE`` to below 1. None stands for ``rung_shares``.
        reduction: of how many one goes on; 2 or more.
        quota: how many of each coding pass each rung unjudged; 0 or more.

    Raises:
        UsageError: when a value is out of its range.
    """

    def __init__(
        self, objectives: Sequence[Objective], shares: Sequence[float] | None = None, reduction: int = 3, quota: int = 2
    ) -> None:
        if reduction < 2 or quota < 0:
            raise UsageError(f"--reduction {reduction} must be 2 or more, and a quota of {quota} 0 or more")
        self.shares = rung_shares(reduction=reduction) if shares is None else tuple(shares)
        if not all(FIRST_SHARE <= share < 1 for share in self.shares) or sorted({*self.shares}) != [*self.shares]:
            listed = ",".join(f"{share:g}" for share in self.shares)
            raise UsageError(f"--rungs {listed} must be rising shares of the epochs, from {FIRST_SHARE:g} to below 1")
        self.objectives, self.reduction, self.quota = tuple(objectives), reduction, quota
        self._entries: list[dict[int, RungRecord]] = [{} for _ in self.shares]

    def rung_epochs(self, budget: int) -> dict[int, int]:
        """Return the rungs by the epoch, from 1, at which a trial of ``budget`` epochs comes to them."""
        epochs = {math.ceil(share * budget - _ROUNDING): rung for rung, share in enumerate(self.shares)}
        return {epoch: rung for epoch, rung in epochs.items() if epoch < budget}

    def decide(self, number: int, coding: str, epoch: int, budget: int, metrics: Metrics) -> str | None:
        """Take in an epoch of a trial, and say whether the trial goes on.

        Args:
            number: the trial's number.
            coding: name of its coding.
            epoch: the epoch that ended, from 1.
            budget: the trial's epochs in all.
            metrics: what was measured. Nothing is recorded where an objective is not finite: such a trial fails.

        Returns:
            None to go on, as between rungs, or why to stop.
        """
        rung = self.rung_epochs(budget).get(epoch)
        if rung is None:
            return None
        try:
            vector = told_values(metrics, self.objectives)
        except ValueError:
            return None
        entries = self._entries[rung]
        passed = number in entries and entries[number]["went_on"]
        entries[number] = RungRecord(number=number, coding=coding, rung=rung, vector=vector, went_on=passed)
        places = None if passed else self._judge(entries[number])
        if places is None:
            entries[number]["went_on"] = True
            return None
        return f"stopped at rung {rung + 1} of {len(self.shares)} (epoch {epoch} of {budget}): {places}"

    def state(self, number: int | None = None) -> list[RungRecord]:
        """Return the records of all trials, or of one, for ``restore``."""
        records = (record for entries in self._entries for record in entries.values())
        return [deepcopy(record) for record in records if number is None or record["number"] == number]

    def restore(self, records: Iterable[RungRecord]) -> None:
        """Take in records of an earlier run, in any order. Those of rungs that are no more are left out."""
        for record in records:
            if record["rung"] < len(self.shares):
                self._entries[record["rung"]][record["number"]] = deepcopy(record)

    def _judge(self, newcomer: RungRecord) -> str | None:
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


def dead_reason(
    history: Mapping[int, Metrics], epoch: int, budget: int, *, chance: float, best: float, patience: int = 3
) -> str | None:
    """Say why a network is beyond hope: for ``patience`` epochs it has told nothing, for want of spikes that differ.

    Surrogate gradients wake silent neurons: of 187 random candidates on digits (8 epochs of 22 batches), 108 met the
    rule below for an epoch, of which 67 ended beyond 30 % accuracy, up to 98 %; for two epochs in a row 53, of which
    15, up to 86 %; for three 35, of which 1, at 44 %. At each of the epochs two things must hold:

    - Quality is at chance: at most 5 % of the way from ``chance`` to ``best``. Rates alone mislead: a residual block
      may be silent beside a bypass that works, and a ternary layer may always fire, and differ in sign.
    - A spiking layer never fires, or one always does, or all fire at more than 95 % of the steps. Few spikes are no
      reason: latency codes start with few, and one spike in 64 steps is only 1.6 %.

    From Firmin et al. 2024, "Parallel Hyperparameter Optimization Of Spiking Neural Networks", who count spikes alone.

    Args:
        history: metrics by epoch, from 1: ``quality``, ``spike_rate`` over all neurons and, where known,
            ``min_layer_rate`` and ``max_layer_rate``: the lowest and highest rate of any spiking layer, in [0, 1].
        epoch: the epoch that ended.
        budget: the trial's epochs in all. None is stopped at its last epoch; a conversion coding has no other.
        chance: quality of the best constant output.
        best: the best possible quality; less than ``chance`` when quality is minimised.
        patience: how many epochs in a row; 1 or more.

    Returns:
        None to go on, or why to stop.
    """
    window = [history.get(epoch - back, {}) for back in range(patience)]
    symptoms = [_symptom(metrics) for metrics in window]
    learnt = [(metrics.get("quality", best) - chance) / (best - chance) for metrics in window]
    if epoch >= budget or not all(symptoms) or not all(share <= _LEARNT_NOTHING for share in learnt):
        return None
    return f"stopped at epoch {epoch} of {budget}: {symptoms[0]}, quality at chance ({window[0]['quality']:.3g})"


def _symptom(metrics: Metrics) -> str | None:
    mean = metrics.get("spike_rate", math.nan)
    least, most = metrics.get("min_layer_rate", mean), metrics.get("max_layer_rate", mean)
    if least == 0:
        return "silent: no neuron fires" if most == 0 else "silent: a layer never fires"
    if least > _SATURATED:
        return f"saturated: all layers fire at more than {_SATURATED:.0%} of the steps"
    return "saturated: a layer fires at every step" if most == 1 else None


class HalvingScheduler(FIFOScheduler):
    """Asks at every result whether the trial goes on, and remembers why not.

    Tune asks before it tells its searcher. Of a result that stops a trial the searcher hears in ``on_trial_complete``
    alone; of a trial's last result the scheduler hears nothing.

    Args:
        decide: gets a trial's id and its flat result; returns None to go on, or why to stop.
    """

    _supports_buffered_results = False  # or a trial would run past its rung

    def __init__(self, decide: Callable[[str, dict[str, Any]], str | None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._decide = decide
        self._reasons: dict[str, str] = {}

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        self._reasons.pop(trial.trial_id, None)  # a worker may be lost after a stop, and the trial start again
        reason = self._decide(trial.trial_id, result)
        if reason is None:
            return TrialScheduler.CONTINUE
        self._reasons[trial.trial_id] = reason
        return TrialScheduler.STOP

    def reason(self, trial_id: str) -> str | None:
        """Return why a trial was stopped, or None when it was not stopped here."""
        return self._reasons.get(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""
