"""Comparison of searches of one task: hypervolume over trials and time, and relations between their fronts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import moocore
import numpy as np
from numpy.typing import NDArray

from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.searchspace.configured import name_of
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.front import Front, Losses, volume
from spikefront.searchspace.objectives import ENERGY, Objective
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_duration

if TYPE_CHECKING:
    import pandas

_SHARES: Final = (0.25, 0.5, 0.75, 1.0)
"""Of the smallest budget."""


class Course:
    """The course of one search: its front after each trial that ended.

    Args:
        search: the search.
        objectives: those of its objectives that all the searches compared have.
        name: what it is called among those compared; the search's name when None.

    Attributes:
        name: what it is called among those compared.
        quality: the task's own name for quality.
        seconds: how long it took, from its start to its end, or to the end of its last trial while it runs.
        trials: those that ended, in the order of their ends; a trial evaluated again counts once.
        front: the front over these trials.
    """

    def __init__(self, search: StoredSearch, objectives: Sequence[Objective], name: str | None = None) -> None:
        self.name, self.quality, self.seconds = name or search.name, search.quality, search.seconds
        self.trials = [one for one in search.trials if one.state != "RUNNING" and math.isfinite(one.ended_s)]
        self.front = Front(objectives, self.trials)

    @cached_property
    def ends(self) -> NDArray[np.float64]:
        """When each trial ended, in seconds from the search's start, ascending, shape ``(n,)``."""
        return np.array([trial.ended_s for trial in self.trials], dtype=np.float64)

    @cached_property
    def losses(self) -> Losses:
        """Losses of the front's members, shape ``(k, m)``."""
        return self.front.losses_of(self.front.members)

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Energies in nanojoules and qualities of the front's members, cheapest first, shape ``(k, 2)``."""
        quality = self.front.objectives[0].metric
        places = [(one.metrics[ENERGY.metric], one.metrics[quality]) for one in self.front.members]
        return np.array(sorted(places, key=lambda place: place[0]), dtype=np.float64).reshape(-1, 2)

    @cached_property
    def hypervolume(self) -> NDArray[np.float64]:
        """The hypervolume after each trial, from 0 to 1, shape ``(n,)``."""
        counts = np.cumsum([trial.name in self.front.trials for trial in self.trials], dtype=np.int64)
        return np.array([0.0, *self.front.curve])[counts]

    def after_trials(self, count: int) -> float:
        """Return the hypervolume when so many trials had ended."""
        return float(self.hypervolume[min(count, len(self.hypervolume)) - 1]) if min(count, len(self.ends)) else 0.0

    def after_seconds(self, seconds: float) -> float:
        """Return the hypervolume so long after the search's start."""
        return self.after_trials(int(np.searchsorted(self.ends, seconds, side="right")))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Searches beside each other.

    Attributes:
        frame: one row for each ``measure`` and where it was taken (``at``), one more column for each search.
        courses: the searches, as ``plot`` draws them.
        warnings: why the numbers may not be comparable, one sentence each.
    """

    frame: pandas.DataFrame
    courses: tuple[Course, ...]
    warnings: tuple[str, ...] = ()

    def plot(self, file: Path | str) -> None:
        """Draw the fronts and the hypervolume over time into a file; ``Picture.save`` says which.

        Raises:
            UsageError: for an ending that is no format, or when the file can't be written.
        """
        from spikefront.results.pictures.compared import compared_picture

        compared_picture(self.courses).save(file)


def compare(store: Store, names: Sequence[str]) -> Comparison:
    """Compare searches of one task in one MLflow experiment.

    Measures, on the scale of ``Objective.loss`` (0 is ideal, 1 the worst that counts, energy logarithmic):

    - ``trials`` that ended, ``judged`` (evaluated at full budget), ``seconds``, members of the ``front``.
    - ``hypervolume``: share of the space between worst and ideal that the front dominates; at the end, and when 25, 50,
      75 and 100 % of the smallest number of trials and of the smallest time were spent. Trials count in the order in
      which they ended, in whatever state; time runs from the search's start, pauses before it was resumed
      included.
    - ``attained by all``: hypervolume of what each of the searches attains, the last level of their empirical
      attainment function (Grunert da Fonseca, Fonseca and Hall 2001); ``attained alone``: of what no other attains.
    - ``epsilon`` to another: least that must be taken off each loss of this front so that each member of the other is
      weakly dominated (additive; Zitzler et al. 2003); 0 or less means that this front is nowhere worse.
    - ``dominated`` by another: share of this front's members that a member of the other dominates.
    - ``relation`` to another (Zitzler et al. 2003): ``better`` where it weakly dominates each member of the other and
      they differ, ``worse``, ``equal``, else ``incomparable``.

    Args:
        store: where the searches are.
        names: two or more different searches, by name, id or run; of two of one name the newer counts, and
            where both are given, each is called by its name and the first eight digits of its run.

    Raises:
        UnknownName: when there is no search of a name.
        UsageError: for less than two searches, one twice, different tasks, or a store that does not answer.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"compare needs two or more different searches, not {', '.join(names) or 'none'}")
    searches = [StoredSearch.open(store, name) for name in names]
    if len({search.run_id for search in searches}) < len(searches):
        raise UsageError(f"compare needs two or more different searches, not one twice: {', '.join(names)}")
    if len({search.task for search in searches}) > 1:
        each = ", ".join(f"{search.name} of {search.task}" for search in searches)
        raise UsageError(f"searches of different tasks don't compare: {each}; choose searches of one task")
    axes = _common_axes(searches)
    courses = tuple(Course(search, axes, name) for search, name in zip(searches, _labels(searches), strict=True))
    return Comparison(_table(courses), courses, _differences(searches, courses))


def _labels(searches: Sequence[StoredSearch]) -> list[str]:
    """Return what the searches are called: their names, with the starts of their runs where names are the same."""
    names = [search.name for search in searches]
    return [
        search.name if names.count(search.name) == 1 else f"{search.name} ({search.run_id[:8]})" for search in searches
    ]


def _common_axes(searches: Sequence[StoredSearch]) -> tuple[Objective, ...]:
    each = [search.objectives for search in searches]
    if len({axes[0] for axes in each}) > 1:
        raise UsageError("the searches measure quality on different scales, so they don't compare; choose others")
    common = (_widest(axis, [one for axes in each for one in axes if _same_axis(one, axis)]) for axis in each[0])
    return tuple(axis for axis in common if all(any(_same_axis(one, axis) for one in axes) for axes in each))


def _same_axis(one: Objective, other: Objective) -> bool:
    """Return whether axes differ in nothing but their scales: versions of spikefront have had several."""
    if (one.metric, one.maximize, one.log) != (other.metric, other.maximize, other.log):
        return False
    return replace(one, best=other.best, worst=other.worst) == other


def _widest(axis: Objective, others: Sequence[Objective]) -> Objective:
    """Return an axis that reaches from the worst to the best value of any search."""
    best, worst = (max, min) if axis.maximize else (min, max)
    return replace(axis, best=best(one.best for one in others), worst=worst(one.worst for one in others))


def _table(courses: Sequence[Course]) -> pandas.DataFrame:
    import pandas

    rows: list[tuple[str, str, list[object]]] = [
        ("trials", "end", [len(each.ends) for each in courses]),
        ("judged", "end", [len(each.front.curve) for each in courses]),
        ("seconds", "end", [each.seconds for each in courses]),
        ("front", "end", [len(each.front.members) for each in courses]),
        ("hypervolume", "end", [each.front.hypervolume for each in courses]),
    ]
    trials, seconds = min(len(each.ends) for each in courses), min(each.seconds for each in courses)
    for share in _SHARES:
        spent = math.floor(share * trials)
        place = f"{share:.0%} of trials ({spent})"
        rows.append(("hypervolume", place, [each.after_trials(spent) for each in courses]))
    for share in _SHARES:
        place = f"{share:.0%} of time ({format_duration(share * seconds)})"
        rows.append(("hypervolume", place, [each.after_seconds(share * seconds) for each in courses]))
    rows.append(("attained by all", "end", [_attained_by_all(courses)] * len(courses)))
    rows.append(("attained alone", "end", [_attained_alone(each, courses) for each in courses]))
    for other in courses:
        rows.append(("epsilon", f"to {other.name}", [_epsilon(each, other) for each in courses]))
    for other in courses:
        rows.append(("dominated", f"by {other.name}", [_dominated(each, other) for each in courses]))
    for other in courses:
        rows.append(("relation", f"to {other.name}", [_relation(each, other) for each in courses]))
    columns = [pandas.Series([values[index] for _, _, values in rows], dtype=object) for index in range(len(courses))]
    frame = pandas.concat([pandas.Series([row[place] for row in rows]) for place in (0, 1)] + columns, axis=1)
    return frame.set_axis(["measure", "at", *(each.name for each in courses)], axis=1)


def _attained_by_all(courses: Sequence[Course]) -> float:
    inside = [each.losses[(each.losses < 1).all(axis=1)].clip(min=0) for each in courses]
    if any(len(points) == 0 for points in inside):
        return 0.0
    sets = np.repeat(np.arange(1, len(inside) + 1), [len(points) for points in inside])
    levels = moocore.eaf(np.concatenate(inside), sets, percentiles=[100])
    return volume(levels[levels[:, -1] == 100, :-1])


def _attained_alone(course: Course, courses: Sequence[Course]) -> float:
    others = np.concatenate([other.losses for other in courses if other is not course])
    return max(0.0, volume(np.concatenate([others, course.losses])) - volume(others))


def _epsilon(course: Course, other: Course) -> float:
    if len(course.losses) == 0 or len(other.losses) == 0:
        return math.nan
    return float(moocore.epsilon_additive(course.losses, ref=other.losses))


def _dominated(course: Course, other: Course) -> float:
    """Return the share of a front that another dominates; NaN of an empty one."""
    if len(course.losses) == 0:
        return math.nan
    no_worse = (other.losses[None] <= course.losses[:, None]).all(axis=2)
    differs = (other.losses[None] != course.losses[:, None]).any(axis=2)
    return float((no_worse & differs).any(axis=1).mean())


def _relation(course: Course, other: Course) -> str:
    ahead, behind = _epsilon(course, other), _epsilon(other, course)
    if course is other or math.isnan(ahead):
        return ""
    if ahead <= 0 and behind <= 0:
        return "equal"
    return "better" if ahead <= 0 else "worse" if behind <= 0 else "incomparable"


@dataclass(slots=True)
class _Setting:
    """What decides whether numbers of two searches mean the same."""

    energy: set[str] = field(default_factory=set)
    split: set[str] = field(default_factory=set)
    versions: dict[str, set[str]] = field(default_factory=dict)  # by kind and name


def _setting(search: StoredSearch, trials: Sequence[Trial]) -> _Setting:
    model = search.energy_model if "energy_model" in search.options else ""
    found = _Setting({model} - {""})
    found.split.add(f"data folder {search.options['data_dir']}" if "data_dir" in search.options else "")
    for trial in trials:
        subset = trial.candidate.get("training.subset", 0)
        found.split.add(f"training subset of {subset}" if subset != 0 else "")
        for kind, value in trial.versions.items():
            name, _, version = value.partition(" ")
            if kind == "energy" and name != name_of(model):
                found.energy.add(name)
            found.versions.setdefault(f"{kind} {name}", set()).add(version)
    return found


def _differences(searches: Sequence[StoredSearch], courses: Sequence[Course]) -> tuple[str, ...]:
    settings = [_setting(search, course.trials) for search, course in zip(searches, courses, strict=True)]
    notes = []

    def note(what: str, values: Sequence[set[str]]) -> None:
        if any(value != values[0] for value in values):
            shown = (
                f"{course.name} {' and '.join(sorted(value - {''})) or 'the default'}"
                for course, value in zip(courses, values, strict=True)
            )
            notes.append(f"{what} differs: {'; '.join(shown)}")

    note("energy model", [each.energy for each in settings])
    note("data", [each.split for each in settings])
    for part in sorted(set.intersection(*(set(each.versions) for each in settings))):
        note(f"version of {part}", [each.versions[part] for each in settings])
    compared = {axis.metric: axis for axis in courses[0].front.objectives}
    axes = [axis for search in searches for axis in search.objectives]
    if any(axis.metric not in compared for axis in axes):
        notes.append("objectives differ: only those that all the searches have are compared")
    for axis in compared.values():
        if any(one.metric == axis.metric and one != axis for one in axes):
            ends = " to ".join(axis.format(end) for end in (axis.worst, axis.best))
            notes.append(f"scale of {axis.name} differs: all hypervolumes are computed from {ends}")
    return tuple(notes)
