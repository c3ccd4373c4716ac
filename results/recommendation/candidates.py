"""Candidates of a recommendation: the best of each coding within limits, by their quality in the search."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from spikefront.searchspace.errors import OptionError, UsageError
from spikefront.searchspace.front import distinct, spread
from spikefront.searchspace.objectives import ENERGY, LATENCY, Limits, Objective
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_energy, format_quality

_BUDGETS: Final = 6
"""Energy budgets for which candidates are chosen where none is given."""


def overstepped(metrics: Mapping[str, float], limits: Limits) -> str:
    """Return which limit on a cost some metrics break, as the end of a sentence; empty where they keep to all.

    Args:
        metrics: of one training, or means over several.
        limits: those on energy and latency count.
    """
    energy, latency = (metrics.get(axis.metric, math.nan) for axis in (ENERGY, LATENCY))
    if limits.max_energy_nj is not None and not energy <= limits.max_energy_nj:
        return f"costs {format_energy(energy)}" if math.isfinite(energy) else "has no energy"
    if limits.max_latency_steps is not None and not latency <= limits.max_latency_steps:
        return f"takes {latency:g} steps"
    return ""


def good_enough(quality: float, limits: Limits, axis: Objective) -> bool:
    """Return whether a quality is not worse than the limit on it."""
    if limits.min_quality is None:
        return True
    return quality >= limits.min_quality if axis.maximize else quality <= limits.min_quality


def within(trials: Iterable[Trial], limits: Limits, objectives: Sequence[Objective]) -> list[Trial]:
    """Return the trials that keep to limits by what the search measured, each candidate once.

    Args:
        trials: comparable ones.
        limits: on energy, latency and quality.
        objectives: the axes of the front; the first is quality.
    """
    kept = [
        trial
        for trial in trials
        if math.isfinite(trial.metrics.get(ENERGY.metric, math.nan))
        and not overstepped(trial.metrics, limits)
        and good_enough(trial.metrics["quality"], limits, objectives[0])
    ]
    return distinct(kept, objectives)


def ranked(trials: Iterable[Trial], axis: Objective) -> dict[str, list[Trial]]:
    """Return trials by coding, the best of each first; of equals the cheaper.

    Args:
        trials: those within limits.
        axis: the quality.
    """
    found: dict[str, list[Trial]] = {}
    for trial in sorted(
        trials, key=lambda one: (axis.loss(one.metrics["quality"]), one.metrics[ENERGY.metric], one.number, one.cut)
    ):
        found.setdefault(trial.coding, []).append(trial)
    return dict(sorted(found.items()))


def chosen(ranking: Mapping[str, Sequence[Trial]], per_coding: int, out: Collection[str] = ()) -> list[Trial]:
    """Return the candidates to be trained again: the best of each coding, of each training one.

    Args:
        ranking: what ``ranked`` returned.
        per_coding: how many of each.
        out: names of those that failed, or cost more than they may; the next of their codings take their places.
    """
    found = []
    for trials in ranking.values():
        taken: list[Trial] = []
        for trial in trials:
            if len(taken) == per_coding:
                break
            if trial.name not in out and trial.number not in {one.number for one in taken}:
                taken.append(trial)
        found += taken
    return found


def along_energy(
    trials: Sequence[Trial], objectives: Sequence[Objective], per_coding: int, out: Collection[str] = ()
) -> list[Trial]:
    """Return the candidates with which a question for every energy budget is answered.

    They are those of ``chosen`` for each budget at which the best quality within it grows, at most ``_BUDGETS`` of
    these, evenly spaced among them.

    Args:
        trials: those within the other limits.
        objectives: the axes of the front; the first is quality.
        per_coding: how many of each coding for each budget.
        out: as for ``chosen``.
    """
    steps: list[float] = []
    best = math.inf
    for trial in sorted(trials, key=lambda one: one.metrics[ENERGY.metric]):
        loss = objectives[0].loss(trial.metrics["quality"])
        if loss < best:
            best = loss
            steps.append(trial.metrics[ENERGY.metric])
    found: dict[str, Trial] = {}
    for budget in spread(steps, _BUDGETS):
        affordable = [one for one in trials if one.metrics[ENERGY.metric] <= budget]
        for one in chosen(ranked(affordable, objectives[0]), per_coding, out):
            found.setdefault(one.name, one)
    return sorted(found.values(), key=lambda one: one.metrics[ENERGY.metric])


def refuse_empty(search: str, trials: Sequence[Trial], limits: Limits, axis: Objective) -> UsageError:
    """Return the error of limits that no candidate keeps to, with the nearest that would leave one.

    Args:
        search: name of the search.
        trials: its comparable trials.
        limits: the limits.
        axis: the quality.
    """
    if not trials:
        return UsageError(f"search {search!r} has no trial that was judged at full budget: there is nothing to compare")
    good = [one for one in trials if good_enough(one.metrics["quality"], limits, axis)]
    if not good:
        best = min(trials, key=lambda one: axis.loss(one.metrics["quality"]))
        reached = format_quality(best.metrics["quality"])
        cost = format_energy(best.metrics[ENERGY.metric])
        problem = f": no candidate of search {search!r} is that good; the best reaches {reached} for {cost}"
        return OptionError("min_quality", limits.min_quality, f"{problem} (trial {best.name})")
    alike = f" of quality {limits.min_quality:g}" if limits.min_quality is not None else ""
    only_latency = Limits(max_latency_steps=limits.max_latency_steps)
    quick = [one for one in good if not overstepped(one.metrics, only_latency)]
    if not quick:
        least = min(good, key=lambda one: one.metrics.get(LATENCY.metric, math.inf))
        steps = least.metrics.get(LATENCY.metric, math.nan)
        problem = f": no candidate{alike} of search {search!r} answers so soon; the quickest takes {steps:g} steps"
        return OptionError("max_latency", limits.max_latency_steps, f"{problem} (trial {least.name})")
    least = min(quick, key=lambda one: one.metrics.get(ENERGY.metric, math.inf))
    if only_latency.max_latency_steps is not None:
        alike += f" within {limits.max_latency_steps:g} steps"
    cost = format_energy(least.metrics[ENERGY.metric])
    problem = f": no candidate{alike} of search {search!r} costs so little; the cheapest takes {cost}"
    return OptionError("max_energy", f"{limits.max_energy_nj:g}nJ", f"{problem} (trial {least.name})")
