"""Confirmed members of a front: spreads over seeds, who stays by which test, and what selection and more data did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from spikefront.results.verdicts import (
    LEVEL,
    Place,
    holm,
    paired_differences,
    paired_p,
    place_of,
    posterior_draws,
    probability_on_front,
    rivals,
    seeds_for,
)
from spikefront.searchspace.front import losses
from spikefront.searchspace.objectives import ENERGY, Objective
from spikefront.searchspace.records import Spread
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_quality

Repeats = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Test metrics by the names of trials, and by seed."""

QUALITY: Final = "quality"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A member of a front with its statistics over seeds.

    Attributes:
        trial: its trial, with the validation metrics with which it was selected.
        spreads: by metric, on the test split.
        verdict: whether it stays on the front.
        probability: posterior probability that it is on the front; NaN where the seeds say nothing of it.
        rival: the best member that costs no more; None of the cheapest.
        p: of the paired one-sided t test of whether it is better than ``rival``, adjusted for the members (Holm).
        beaten_by: a member that dominates it on the means over seeds, or None.
        more_seeds: number of further seeds with which the test would tell it from ``rival`` with a power of 0.8, were
            the difference and its spread those measured; None where it is decided, or no affordable number would do.
    """

    trial: Trial
    spreads: Mapping[str, Spread]
    verdict: Place
    probability: float
    rival: Trial | None = None
    p: float = math.nan
    beaten_by: Trial | None = None
    more_seeds: int | None = None

    @property
    def stays(self) -> bool:
        """Whether it stays on the front, surely."""
        return self.verdict == "stays"


def problem_of(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> str | None:
    """Return why a repeat counts as failed: quality, energy or an objective is no finite number; or None.

    MLflow leaves out what is not finite, so that a metric which is missing is one of a training that diverged.
    """
    for name in (QUALITY, ENERGY.metric):
        if not math.isfinite(metrics.get(name, math.nan)):
            return f"{name} is not a finite number: its training diverged"
    return next(filter(None, (axis.problem(metrics) for axis in objectives)), None)


def successes(repeats: Repeats, objectives: Sequence[Objective]) -> dict[str, dict[int, Mapping[str, float]]]:
    """Return the repeats that did not fail, by trial and seed; a trial without one has an empty mapping."""
    return {
        trial: {seed: found for seed, found in by_seed.items() if problem_of(found, objectives) is None}
        for trial, by_seed in repeats.items()
    }


def confirm_front(members: Sequence[Trial], repeats: Repeats, objectives: Sequence[Objective]) -> list[Confirmed]:
    """Return the members of a front, each with the decision whether it stays there by its repeats.

    A member stays where its posterior probability of being on the front is at least ``verdicts.LEVEL``, falls where it
    is at most 1 less that, and is undecided otherwise. Costs, which vary little over seeds, count with their means;
    axes beside quality are all costs here.

    Args:
        members: the members of the front.
        repeats: test metrics by trial and seed. A repeat with a metric that is not finite counts as failed; a member of
            which every repeat failed is left out.
        objectives: the axes of the front; the first is quality.

    Returns:
        The members, cheapest first by mean energy.
    """
    kept = successes(repeats, objectives)
    trials = [trial for trial in members if kept.get(trial.name)]
    if not trials:
        return []
    spreads = [_spreads(list(kept[trial.name].values()), objectives) for trial in trials]
    scaled = losses([[spread[axis.metric].mean for axis in objectives] for spread in spreads], objectives)
    sign = 1 if objectives[0].maximize else -1
    qualities = [{seed: sign * one[QUALITY] for seed, one in kept[trial.name].items()} for trial in trials]
    draws = posterior_draws([list(each.values()) for each in qualities])
    probabilities = probability_on_front(draws, scaled[:, 1:])
    best = _best_rivals(qualities, scaled[:, 1:])
    pairs = [([], []) if at is None else _pairs(qualities[row], qualities[at]) for row, at in enumerate(best)]
    p = holm([paired_p(*pair) for pair in pairs])
    found = []
    for row, trial in enumerate(trials):
        verdict, rival = place_of(float(probabilities[row])), best[row]
        better = [i for i in range(len(trials)) if (scaled[i] <= scaled[row]).all() and (scaled[i] < scaled[row]).any()]
        found.append(
            Confirmed(
                trial,
                spreads[row],
                verdict,
                float(probabilities[row]),
                None if rival is None else trials[rival],
                float(p[row]),
                trials[min(better, key=lambda i: float(scaled[i].sum()))] if better else None,
                _more_seeds(*pairs[row]) if verdict == "undecided" else None,
            )
        )
    return sorted(found, key=lambda member: member.spreads[ENERGY.metric].mean)


def _best_rivals(qualities: Sequence[Mapping[int, float]], costs: np.ndarray) -> list[int | None]:
    """Return the row of the best member that costs no more, for each member."""
    means = np.array([np.mean(list(each.values())) for each in qualities])
    return [int(np.argmax(np.where(row, means, -np.inf))) if row.any() else None for row in rivals(costs)]


def _pairs(one: Mapping[int, float], other: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """Return the values of the seeds that both have."""
    seeds = [seed for seed in one if seed in other]
    return [one[seed] for seed in seeds], [other[seed] for seed in seeds]


def _more_seeds(one: Sequence[float], other: Sequence[float]) -> int | None:
    differences = paired_differences(one, other)
    if len(differences) < 2 or (sd := float(differences.std(ddof=1))) == 0:
        return None
    needed = seeds_for(abs(float(differences.mean())) / sd, alpha=1 - LEVEL)
    return None if needed is None else max(1, needed - len(differences))


def _spreads(repeats: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> dict[str, Spread]:
    """Return the spreads of the metrics that all repeats of a member have."""
    names = [name for name in repeats[0] if all(name in repeat for repeat in repeats)]
    values = {name: [repeat[name] for repeat in repeats] for name in names}
    return {name: spread_of(values[name], *_range(name, values[name], objectives)) for name in names}


def spread_of(values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Spread:
    """Return mean, standard deviation and 95 % interval of at least one value, by Student's t.

    The interval assumes normally distributed values, and that the seeds are all that varies: the splits are fixed.
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
        return Spread(1, mean, math.nan, math.nan, math.nan)
    sd = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return Spread(n, mean, sd, max(mean - half, least), min(mean + half, most))


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
    """Count the pairs of members whose order in quality differs between test split and selection.

    Returns:
        How many changed, and how many pairs there are; equal at selection, or in the means, is no change.
    """
    pairs = list(combinations(members, 2))
    changed = sum(
        (one.trial.metrics[QUALITY] - other.trial.metrics[QUALITY])
        * (one.spreads[QUALITY].mean - other.spreads[QUALITY].mean)
        < 0
        for one, other in pairs
    )
    return changed, len(pairs)


@dataclass(frozen=True, slots=True)
class Selection:
    """Why quality on the test split is not that at selection: on average over members, in the direction of quality.

    Both are told apart by repeats that were trained on the training split alone, as the search trains, and measured on
    the test split. Their intervals are of the members (of one member: of its seeds); the splits are fixed.

    Attributes:
        flatters: by how much quality at selection was better than these repeats: the luck of the best of many, and how
            much easier the validation split is than the test split.
        more_data: by how much repeats trained on training and validation split together are better than they.
        members: number of members.
    """

    flatters: Spread
    more_data: Spread
    members: int


def selection_of(members: Sequence[Confirmed], alone: Repeats, objectives: Sequence[Objective]) -> Selection | None:
    """Tell the loss of selection from the gain of more data; None without repeats on the training split alone.

    Args:
        members: what ``confirm_front`` returned.
        alone: test metrics, by trial and seed, of repeats trained on the training split alone.
        objectives: the axes of the front; the first is quality.
    """
    sign = 1 if objectives[0].maximize else -1
    kept = successes(alone, objectives)
    found = [
        (
            member.trial.metrics[QUALITY],
            member.spreads[QUALITY].mean,
            [one[QUALITY] for one in kept[member.trial.name].values()],
        )
        for member in members
        if kept.get(member.trial.name)
    ]
    if not found:
        return None
    rows = [(selected, test, [float(np.mean(values))]) for selected, test, values in found] if found[1:] else found
    flatters = [sign * (selected - value) for selected, _, values in rows for value in values]
    more_data = [sign * (test - value) for _, test, values in rows for value in values]
    return Selection(spread_of(flatters), spread_of(more_data), len(found))


def place_in(member: Mapping[str, Any]) -> str:
    """Return what ``confirmed.json`` says of a member; one of an earlier version stays or falls by the means alone."""
    return str(member.get("verdict") or ("stays" if member["stays"] else "falls"))


def selection_in(document: Mapping[str, Any]) -> Selection | None:
    """Return what ``confirmed.json`` says of selection and more data; None where it says nothing."""
    stored = document.get("selection")
    if stored is None:
        return None

    def spread(name: str) -> Spread:
        sd, low, high = (float(stored.get(f"{name}_{end}", math.nan)) for end in ("sd", "low", "high"))
        return Spread(1 if math.isnan(sd) else 2, float(stored[name]), sd, low, high)

    return Selection(spread("flatters"), spread("more_data"), int(stored.get("members", 1)))


def summary(
    members: Sequence[Confirmed],
    failed: Mapping[str, str],
    maximize: bool = True,
    selection: Selection | None = None,
    repeats: int = 0,
) -> list[str]:
    """Return the result of confirming in sentences.

    Args:
        members: what ``confirm_front`` returned.
        failed: why no repeat of a member succeeded, by trial.
        maximize: whether more quality is better.
        selection: what ``selection_of`` returned.
        repeats: of each member, asked for; 0 where that is not known.
    """
    by = {place: sum(member.verdict == place for member in members) for place in ("stays", "undecided", "falls")}
    lines = [
        f"{by['stays']} of {len(members) + len(failed)} members stay on the front (probability of {LEVEL:g} or more), "
        f"{by['undecided']} {'is' if by['undecided'] == 1 else 'are'} undecided, "
        f"{by['falls']} {'falls' if by['falls'] == 1 else 'fall'}"
    ]
    lines += [_said(member) for member in members if not member.stays and not math.isnan(member.probability)]
    if any(math.isnan(member.probability) for member in members):
        lines.append("one repeat of each member decides nothing: no test can be made; 5 are usual: --seeds 5")
    lines += [
        f"trial {member.trial.name}: {repeats - member.spreads[QUALITY].seeds} of {repeats} repeats failed"
        for member in members
        if member.spreads[QUALITY].seeds < repeats
    ]
    lines += [f"trial {trial} could not be confirmed: {reason}" for trial, reason in failed.items()]
    if members:
        lines.append(_shift(members, maximize, selection))
        changed, pairs = rank_changes(members)
        lines.append(f"{changed} of {pairs} pairs of members changed their order in quality")
    return lines


def _said(member: Confirmed) -> str:
    rival = "" if member.rival is None else f"trial {member.rival.name}"
    head = f"trial {member.trial.name} {'falls off' if member.verdict == 'falls' else 'is undecided'}: "
    head += f"on the front with probability {member.probability:.3f}"
    if member.verdict == "falls":
        return f"{head}; {rival} costs no more and is better on the test split"
    if member.more_seeds is None:
        return f"{head}; no affordable number of seeds separates it from {rival}"
    return (
        f"{head}; {member.more_seeds} more seed{'s' * (member.more_seeds > 1)} would separate it from {rival}, "
        f"if the difference is real"
    )


def _shift(members: Sequence[Confirmed], maximize: bool, selection: Selection | None) -> str:
    if selection is None:
        by = optimism(members) * (1 if maximize else -1)
        return (
            f"quality on the test split is {format_quality(abs(by))} {'worse' if by > 0 else 'better'} than at "
            "selection, on average, with the validation samples to train on, too; --selection-seeds 1 tells the luck "
            "of selection from the gain of more data"
        )
    return told(selection)


def told(selection: Selection) -> str:
    """Return in a sentence what selection and more data did."""
    return (
        f"selection flatters by {_interval(selection.flatters)}, more data give {_interval(selection.more_data)}, on "
        f"average over {selection.members} member{'s' * (selection.members > 1)}"
    )


def _interval(spread: Spread) -> str:
    ends = f" (95 % interval {format_quality(spread.low)} to {format_quality(spread.high)})" if spread.seeds > 1 else ""
    return format_quality(spread.mean) + ends


def optimism(members: Sequence[Confirmed]) -> float:
    """Return by how much quality at selection was above that on the test split, on average over the members."""
    return float(np.mean([member.trial.metrics[QUALITY] - member.spreads[QUALITY].mean for member in members]))
