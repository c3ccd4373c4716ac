"""Compares searches of one task: how much of the ideal each covers, how soon, and which front is ahead of which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import moocore
import numpy as np
from numpy.typing import NDArray

from spikefront.results.plot import look, quality_label
from spikefront.results.queries import axes_of, children, compares, open_existing, search_names, searches
from spikefront.results.store.connection import QUALITY_TAG
from spikefront.searchspace import Objective, UnknownName, UsageError
from spikefront.searchspace.front import Losses, losses, nondominated, volume
from spikefront.searchspace.units import format_duration

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Run

_SHARES: Final = (0.25, 0.5, 0.75, 1.0)
"""Of the smallest budget."""
_ENDED: Final = "tags.`trial.state` != 'RUNNING'"
_PICTURES: Final = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Course:
    """The course of one search: what it had found after each trial that ended. A trial judged again counts once.

    Attributes:
        name: the search's name.
        quality: the task's own name for quality.
        axes: its objectives, those that all the searches compared have.
        seconds: how long it took, from its start to its end, or to the end of its last trial while it runs.
        ends: when each trial ended, in seconds from the search's start, ascending, shape ``(n,)``.
        losses: each trial's losses in that order, shape ``(n, m)``; NaN where it was not judged at full budget.
        front: losses of the front's members, shape ``(k, m)``.
        places: their energies in nanojoules and qualities, cheapest first, shape ``(k, 2)``.
        hypervolume: after each trial, from 0 to 1, shape ``(n,)``.
    """

    name: str
    quality: str
    axes: tuple[Objective, ...]
    seconds: float
    ends: NDArray[np.float64]
    losses: Losses
    front: Losses
    places: NDArray[np.float64]
    hypervolume: NDArray[np.float64]

    def after_trials(self, count: int) -> float:
        """Return the hypervolume when so many trials had ended."""
        return float(self.hypervolume[min(count, len(self.hypervolume)) - 1]) if min(count, len(self.ends)) else 0.0

    def after_seconds(self, seconds: float) -> float:
        """Return the hypervolume so long after the search's start."""
        return self.after_trials(int(np.searchsorted(self.ends, seconds, side="right")))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``compare`` found.

    Attributes:
        frame: one row for each ``measure`` and where it was taken (``at``), one more column for each search.
        courses: what the picture is drawn from.
        warnings: why the numbers may not be comparable, one sentence each.
    """

    frame: pandas.DataFrame
    courses: tuple[Course, ...]
    warnings: tuple[str, ...] = ()

    def plot(self, file: Path | str) -> None:
        """Draw the fronts and the hypervolume over time into a PNG or SVG file.

        Raises:
            UsageError: for another ending, or when the file can't be written.
        """
        check_picture(file)
        try:
            draw(self.courses).savefig(file, dpi=150)
        except OSError as error:
            raise UsageError(f"picture {file} can't be written: {error.strerror}; choose another place") from error


def compare(names: Sequence[str], *, tracking_uri: str | None = None, experiment: str | None = None) -> Comparison:
    """Compare searches of one task in one MLflow experiment.

    Measures, on the scale of ``Objective.loss`` (0 is ideal, 1 the worst that counts, energy logarithmic):

    - ``trials`` that ended, ``judged`` at full budget, ``seconds``, members of the ``front``.
    - ``hypervolume``: share of the space between worst and ideal that the front dominates; at the end, and when 25, 50,
      75 and 100 % of the smallest number of trials and of the smallest time were spent. Trials count in the order in
      which they ended, whatever became of them; time runs from the search's start, pauses before it was resumed
      included.
    - ``attained by all``: hypervolume of what each of the searches attains, the last level of their empirical
      attainment function (Grunert da Fonseca, Fonseca and Hall 2001); ``attained alone``: of what no other attains.
    - ``epsilon`` to another: least that must be taken off each loss of this front so that each member of the other is
      weakly dominated (additive; Zitzler et al. 2003); 0 or less means that this front is nowhere worse.
    - ``dominated`` by another: share of this front's members that a member of the other dominates.
    - ``relation`` to another (Zitzler et al. 2003): ``better`` where it weakly dominates each member of the other and
      they differ, ``worse``, ``equal``, else ``incomparable``.

    Args:
        names: two or more different searches; of two of one name the newer counts.
        tracking_uri: where; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the MLflow experiment; None means the one that plain MLflow is active in.

    Raises:
        UnknownName: when there is no search of a name.
        UsageError: for less than two searches, one twice, different tasks, or a store that does not answer.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"compare needs two or more different searches, not {', '.join(names) or 'none'}")
    client, home = open_existing(tracking_uri, experiment)
    parents = []
    for name in names:
        parent = next(searches(client, home, name), None)
        if parent is None:
            raise UnknownName("search", name, search_names(tracking_uri, experiment))
        parents.append(parent)
    tasks = [parent.data.tags.get("task", "") for parent in parents]
    if len(set(tasks)) > 1:
        told = ", ".join(f"{name} of {task}" for name, task in zip(names, tasks, strict=True))
        raise UsageError(f"searches of different tasks don't compare: {told}; choose searches of one task")
    axes = _common_axes(parents)
    told_of = [_tell(client, home, parent) for parent in parents]
    courses = tuple(_course(name, axes, *told) for name, told in zip(names, told_of, strict=True))
    notes = _differences(names, parents, [runs for _, runs in told_of])
    return Comparison(_table(courses), courses, notes)


def check_picture(file: Path | str) -> None:
    """Refuse the name of a picture that can't be drawn, before anything is read.

    Raises:
        UsageError: when it ends neither in .png nor in .svg.
    """
    if Path(file).suffix.lower() not in _PICTURES:
        raise UsageError(f"picture {file} must end in {' or '.join(_PICTURES)}")


def _common_axes(parents: Sequence[Run]) -> tuple[Objective, ...]:
    each = [axes_of(parent) for parent in parents]
    if len({axes[0] for axes in each}) > 1:
        raise UsageError("the searches measure quality on different scales, so they don't compare; choose others")
    return tuple(axis for axis in each[0] if all(axis in axes for axes in each))


def _tell(client: MlflowClient, home: str, parent: Run) -> tuple[Run, list[Run]]:
    """Read a search's trials that ended, in the order in which they did; of a trial judged again only the last."""
    runs = [run for run in children(client, home, parent, [_ENDED]) if run.info.end_time is not None]
    again = {run.data.tags.get("trial.retry_of") for run in runs}
    runs = [run for run in runs if run.data.tags["trial.number"] not in again]
    return parent, sorted(runs, key=lambda run: (run.info.end_time, int(run.data.tags["trial.number"])))


def _course(name: str, axes: tuple[Objective, ...], parent: Run, runs: Sequence[Run]) -> Course:
    start = parent.info.start_time
    ends = np.array([(run.info.end_time - start) / 1000 for run in runs], dtype=np.float64)
    points = np.full((len(runs), len(axes)), math.nan)
    for row, run in enumerate(runs):
        if run.data.tags.get("trial.state") == "COMPLETE" and compares(run, axes):
            points[row] = losses([[run.data.metrics[axis.metric] for axis in axes]], axes)[0]
    judged = np.flatnonzero(~np.isnan(points[:, 0]))
    members = judged[nondominated(points[judged])]
    places = np.array([[runs[row].data.metrics[key] for key in ("energy_nj", "quality")] for row in members])
    places = places.reshape(-1, 2)
    seconds = (parent.info.end_time - start) / 1000 if parent.info.end_time else float(ends[-1]) if len(ends) else 0.0
    quality = parent.data.tags.get(QUALITY_TAG, "quality")
    places = places[np.argsort(places[:, 0])]
    return Course(name, quality, axes, seconds, ends, points, points[members], places, _volumes(points))


def _volumes(points: Losses) -> NDArray[np.float64]:
    """Return the hypervolume of the first 1, 2, ... points; computed anew only where the front changes."""
    front, now, found = np.empty((0, points.shape[1])), 0.0, []
    for point in points:
        if not np.isnan(point[0]) and not (front <= point).all(axis=1).any():
            front = np.vstack([front[~(point <= front).all(axis=1)], point])
            now = volume(front)
        found.append(now)
    return np.array(found, dtype=np.float64)


def _table(courses: Sequence[Course]) -> pandas.DataFrame:
    import pandas

    rows: list[tuple[str, str, list[object]]] = [
        ("trials", "end", [len(each.ends) for each in courses]),
        ("judged", "end", [int((~np.isnan(each.losses[:, 0])).sum()) for each in courses]),
        ("seconds", "end", [each.seconds for each in courses]),
        ("front", "end", [len(each.front) for each in courses]),
        ("hypervolume", "end", [volume(each.front) for each in courses]),
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
    inside = [each.front[(each.front < 1).all(axis=1)].clip(min=0) for each in courses]
    if any(len(points) == 0 for points in inside):
        return 0.0
    sets = np.repeat(np.arange(1, len(inside) + 1), [len(points) for points in inside])
    levels = moocore.eaf(np.concatenate(inside), sets, percentiles=[100])
    return volume(levels[levels[:, -1] == 100, :-1])


def _attained_alone(course: Course, courses: Sequence[Course]) -> float:
    others = np.concatenate([other.front for other in courses if other is not course])
    return max(0.0, volume(np.concatenate([others, course.front])) - volume(others))


def _epsilon(course: Course, other: Course) -> float:
    if len(course.front) == 0 or len(other.front) == 0:
        return math.nan
    return float(moocore.epsilon_additive(course.front, ref=other.front))


def _dominated(course: Course, other: Course) -> float:
    """Return the share of a front that another dominates; NaN of an empty one."""
    if len(course.front) == 0:
        return math.nan
    no_worse = (other.front[None] <= course.front[:, None]).all(axis=2)
    differs = (other.front[None] != course.front[:, None]).any(axis=2)
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
    """What decides whether numbers of two searches mean the same, as the runs tell it."""

    energy: set[str] = field(default_factory=set)
    split: set[str] = field(default_factory=set)
    versions: dict[str, set[str]] = field(default_factory=dict)  # by kind and name


def _setting(parent: Run, runs: Sequence[Run]) -> _Setting:
    told = _Setting({parent.data.params.get("energy_model", "")} - {""})
    told.split.add(f"data folder {parent.data.params['data_dir']}" if "data_dir" in parent.data.params else "")
    for run in runs:
        subset = run.data.params.get("training.subset", "0")
        told.split.add(f"training subset of {subset}" if subset != "0" else "")
        for tag, value in run.data.tags.items():
            kind = tag.removeprefix("plugin.")
            name, _, version = value.partition(" ")
            if kind == "energy":
                told.energy.add(name)
            if kind != tag:
                told.versions.setdefault(f"{kind} {name}", set()).add(version)
    return told


def _differences(names: Sequence[str], parents: Sequence[Run], runs: Sequence[Sequence[Run]]) -> tuple[str, ...]:
    told = [_setting(parent, each) for parent, each in zip(parents, runs, strict=True)]
    notes = []

    def note(what: str, values: Sequence[set[str]]) -> None:
        if any(value != values[0] for value in values):
            shown = (
                f"{name} {' and '.join(sorted(value - {''})) or 'the default'}"
                for name, value in zip(names, values, strict=True)
            )
            notes.append(f"{what} differs: {'; '.join(shown)}")

    note("energy model", [each.energy for each in told])
    note("data", [each.split for each in told])
    for part in sorted(set.intersection(*(set(each.versions) for each in told))):
        note(f"version of {part}", [each.versions[part] for each in told])
    if len({axes_of(parent) for parent in parents}) > 1:
        notes.append("objectives differ: only those that all the searches have are compared")
    return tuple(notes)


def draw(courses: Sequence[Course]) -> Figure:
    """Draw fronts, and hypervolume over time, side by side on white: 10 inches wide, higher for many searches.

    A front's line joins what is reached for each budget of energy, in the plane of quality and energy.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4 + 0.22 * len(courses)), layout="constrained")
    left, right = figure.subplots(1, 2)
    energies = np.concatenate([course.places[:, 0] for course in courses])
    edges = (energies.min() / 1.3, energies.max() * 1.3) if len(energies) else (1.0, 10.0)
    for index, course in enumerate(courses):
        looks = look(index)
        _draw_front(left, course, looks["color"], looks["marker"], edges[1])
        last = max(course.seconds, *course.ends, 0.0)
        times, values = [0.0, *course.ends, last], [0.0, *course.hypervolume, course.after_trials(len(course.ends))]
        right.step(times, values, where="post", color=looks["color"], lw=1.6, alpha=0.85)
    label = quality_label(courses[0].quality, courses[0].axes[0])
    left.set(xscale="log", xlim=edges, ylabel=label, title="fronts")
    _label_energies(left, math.log10(edges[1] / edges[0]))
    right.set(xlabel="time from the start (s)", ylabel="hypervolume", title="hypervolume over time")
    right.set_xlim(left=0)
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2, lw=0.6)
        axes.set_axisbelow(True)
    figure.legend(*left.get_legend_handles_labels(), frameon=False, loc="outside lower left")
    return figure


def _draw_front(axes: Axes, course: Course, colour: str, marker: str, edge: float) -> None:
    up = course.axes[0].maximize
    reached: list[tuple[float, float]] = []
    for energy, quality in course.places:
        if not reached or (quality > reached[-1][1] if up else quality < reached[-1][1]):
            reached.append((energy, quality))
    reached += [(edge, quality) for _, quality in reached[-1:]]
    axes.plot(*course.places.T, color=colour, marker=marker, ls="", ms=6, label=course.name, alpha=0.85)
    axes.step([x for x, _ in reached], [y for _, y in reached], where="post", color=colour, lw=1.4, alpha=0.85)


def _label_energies(axes: Axes, decades: float) -> None:
    """Put as many labels as there is room for: on a short axis Matplotlib's own overlap, on a narrow one they lack."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    subs = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0) if decades > 0.5 else None
    axes.set_xlabel("energy per sample (nJ)")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_locator(LogLocator(subs=subs or tuple(range(1, 10))))
