"""What confirming found: means over seeds on the test split, who stays on the front, what selection had promised."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spikefront.results.front import format_quality
from spikefront.searchspace import Objective
from spikefront.searchspace.front import losses, nondominated


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over seeds.

    Attributes:
        mean: mean.
        sd: sample standard deviation; NaN of one seed.
        low: lower end of the 95 % interval of the mean, by Student's t, cut at what the metric can be; NaN of one seed.
        high: its upper end.
        seeds: how many there are.
    """

    mean: float
    sd: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Spread:
        """Sum up values, of which there must be at least one.

        The interval takes the values for normally distributed, and the seeds for all that varies: the splits are fixed.
        Of few seeds it can reach beyond what the metric can be, such as an accuracy above 1, and is cut there, which
        takes nothing from its coverage. An interval for shares (Wilson) would be of the samples drawn for the split.

        Args:
            values: one for each seed.
            least: the least that the metric can be.
            most: the most that it can be.
        """
        from scipy.stats import t

        n, mean = len(values), float(np.mean(values))
        if n == 1:
            return cls(mean, math.nan, math.nan, math.nan, 1)
        sd = float(np.std(values, ddof=1))
        half = float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
        return cls(mean, sd, max(mean - half, least), min(mean + half, most), n)


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
        objectives: the axes of the front; the first is quality.

    Returns:
        The members, cheapest first by mean energy.
    """
    found = {trial: _spreads(list(by_seed.values()), objectives) for trial, by_seed in repeats.items() if by_seed}
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


def _spreads(repeats: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> dict[str, Spread]:
    """Sum up the metrics that all repeats of a member have."""
    names = [name for name in repeats[0] if all(name in repeat for repeat in repeats)]
    seen = {name: [repeat[name] for repeat in repeats] for name in names}
    return {name: Spread.of(values, *_range(name, values, objectives)) for name, values in seen.items()}


def _range(metric: str, values: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, float]:
    """Return the least and the most that a metric can be.

    Quality ends at the best possible. Its worst is where hypervolume begins, which for accuracy is an end, too, but not
    for R2: it counts unless a value lies beyond. An axis that is logarithmic has no values below 0.
    """
    axis = next((axis for axis in objectives if axis.metric == metric), None)
    if axis is None:
        return -math.inf, math.inf
    if axis.log:
        return 0.0, math.inf
    least, most = sorted((axis.worst, axis.best))
    return (least if min(values) >= least else -math.inf, most if max(values) <= most else math.inf)


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


def verdict(members: Sequence[Confirmed], failed: Mapping[int, str], maximize: bool = True) -> list[str]:
    """Say in sentences what confirming has shown.

    Args:
        members: what ``confirm_front`` returned.
        failed: why no repeat of a member succeeded, by trial.
        maximize: whether more quality is better.
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
        worse = by > 0 if maximize else by < 0
        why = "the best of many on one seed is in part luck" if worse else "training has the validation samples, too"
        said.append(
            f"quality on the test split is {format_quality(abs(by))} {'worse' if worse else 'better'} than "
            f"at selection, on average: {why}"
        )
        changed, pairs = rank_changes(members)
        said.append(f"{changed} of {pairs} pairs of members changed their order in quality")
    return said
