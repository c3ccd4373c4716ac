"""What confirming found: means over seeds on the test split, who stays on the front, what selection had promised."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from spikefront.searchspace import Objective
from spikefront.searchspace.pareto import losses, nondominated


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over seeds.

    Attributes:
        mean: mean.
        sd: sample standard deviation; NaN of one seed.
        low: lower end of the 95 % interval of the mean, by Student's t; NaN of one seed.
        high: its upper end.
        seeds: how many there are.
    """

    mean: float
    sd: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up values, of which there must be at least one.

        The interval takes the values for normally distributed, and the seeds for all that varies: the splits are fixed.
        """
        from scipy.stats import t

        n, mean = len(values), float(np.mean(values))
        if n == 1:
            return cls(mean, math.nan, math.nan, math.nan, 1)
        sd = float(np.std(values, ddof=1))
        half = float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
        return cls(mean, sd, mean - half, mean + half, n)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A member of a front after confirming.

    Attributes:
        trial: number of its trial.
        selected: metrics with which it was selected, on the validation split.
        spreads: by metric, on the test split.
        stays: whether it is on the front of the means.
        beaten_by: number of a member that is better on all axes, where it does not stay.
    """

    trial: int
    selected: Mapping[str, float]
    spreads: Mapping[str, Spread]
    stays: bool
    beaten_by: int | None


def confirm_front(
    selected: Mapping[int, Mapping[str, float]],
    repeats: Mapping[int, Mapping[int, Mapping[str, float]]],
    objectives: Sequence[Objective],
) -> list[Confirmed]:
    """Compute the front anew, from the means over seeds.

    Args:
        selected: validation metrics of the members by trial.
        repeats: test metrics by trial and seed. A member of which every repeat failed is left out.
        objectives: the axes of the front.

    Returns:
        The members, cheapest first by mean energy.
    """
    found = {
        trial: {metric: Spread.of([one[metric] for one in by_seed.values()]) for metric in _common(by_seed.values())}
        for trial, by_seed in repeats.items()
        if by_seed
    }
    if not found:
        return []
    trials = list(found)
    scaled = losses([[found[trial][axis.metric].mean for axis in objectives] for trial in trials], objectives)
    on_front = nondominated(scaled)
    members = []
    for row, trial in enumerate(trials):
        better = [i for i in range(len(trials)) if (scaled[i] <= scaled[row]).all() and (scaled[i] < scaled[row]).any()]
        beaten_by = None if on_front[row] else trials[min(better, key=lambda i: float(scaled[i].sum()))]
        members.append(Confirmed(trial, selected[trial], found[trial], bool(on_front[row]), beaten_by))
    return sorted(members, key=lambda member: member.spreads["energy_nj"].mean)


def _common(metrics: Any) -> list[str]:
    rows = list(metrics)
    return [name for name in rows[0] if all(name in row for row in rows)]


def rank_changes(members: Sequence[Confirmed]) -> tuple[int, int]:
    """Count the pairs of members whose order in quality is another on the test split than it was at selection.

    Returns:
        How many changed, and how many pairs there are; equal at selection, or in the means, is no change.
    """
    pairs = list(combinations(members, 2))
    changed = sum(
        (one.selected["quality"] - other.selected["quality"])
        * (one.spreads["quality"].mean - other.spreads["quality"].mean)
        < 0
        for one, other in pairs
    )
    return changed, len(pairs)


def optimism(members: Sequence[Confirmed]) -> float:
    """Return by how much quality at selection was above that on the test split, on average over the members."""
    return float(np.mean([member.selected["quality"] - member.spreads["quality"].mean for member in members]))


def verdict(members: Sequence[Confirmed], failed: Mapping[int, str]) -> list[str]:
    """Say in sentences what confirming has shown.

    Args:
        members: what ``confirm_front`` returned.
        failed: why no repeat of a member succeeded, by trial.
    """
    fell = [member for member in members if not member.stays]
    said = [f"{len(members) - len(fell)} of {len(members) + len(failed)} members stay on the front"]
    said += [
        f"trial {member.trial} fell off: trial {member.beaten_by} is better on the test split, on the mean over seeds"
        for member in fell
    ]
    said += [f"trial {trial} could not be confirmed: {reason}" for trial, reason in failed.items()]
    if members:
        by = optimism(members)
        why = "the best of many on one seed is in part luck" if by > 0 else "training has the validation samples, too"
        said.append(
            f"quality on the test split is {abs(by):.4f} {'below' if by > 0 else 'above'} that at selection, on "
            f"average: {why}"
        )
        changed, pairs = rank_changes(members)
        said.append(f"{changed} of {pairs} pairs of members changed their order in quality")
    return said
