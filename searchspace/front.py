"""Pareto fronts: membership, ranks, knee and hypervolume.

Everything is computed on ``Objective.loss``: each axis is minimised, 0 is the ideal and 1 the worst that counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, TypeVar

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikefront.searchspace.candidate import identity
from spikefront.searchspace.objectives import ENERGY, ENERGY_ERROR, Objective
from spikefront.searchspace.trial import Trial

Losses = NDArray[np.float64]
Item = TypeVar("Item")

_SEPARATED: Final = 2.0
"""Standard errors of a difference beyond which it counts as one: 95 % of differences of equals are smaller."""


def losses(points: ArrayLike, objectives: Sequence[Objective]) -> Losses:
    """Put points on the scale of ``Objective.loss``.

    Args:
        points: metric values, shape ``(n, m)``, columns in the order of ``objectives``.
        objectives: the m axes.

    Returns:
        Losses, shape ``(n, m)``; 0 is the ideal, 1 the worst that counts, more and less are possible.

    Raises:
        ValueError: when the number of columns is not the number of objectives.
    """
    scaled = np.array(points, dtype=np.float64)
    if scaled.size == 0:
        return scaled.reshape(0, len(objectives))
    if scaled.ndim != 2 or scaled.shape[1] != len(objectives):
        raise ValueError(f"points have shape {scaled.shape}, but there are {len(objectives)} objectives")
    for column, axis in enumerate(objectives):
        values = scaled[:, column] if axis.floor is None else np.maximum(scaled[:, column], axis.floor)
        values = np.log10(values) if axis.log else scaled[:, column]
        worst, best = axis.scaled(axis.worst), axis.scaled(axis.best)
        scaled[:, column] = (values - best) / (worst - best)
    return scaled


def nondominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Return which points no other point dominates. Points with equal values don't dominate each other.

    Args:
        losses: points to be minimised, shape ``(n, m)``. One with a NaN is on no front, and dominates none.

    Returns:
        Mask of shape ``(n,)``.
    """
    points = np.asarray(losses, dtype=np.float64)
    found = _comparable(points)
    if found.any():  # moocore lets a NaN dominate
        found[found] = moocore.is_nondominated(points[found], keep_weakly=True)
    return found


def _comparable(points: Losses) -> NDArray[np.bool_]:
    """Return which points have no NaN."""
    if len(points) == 0:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(~np.isnan(points).any(axis=1), dtype=np.bool_)


def pareto_ranks(losses: ArrayLike) -> NDArray[np.int64]:
    """Count the fronts to be peeled off before each point is on the front: 0 on the front, 1 behind it, and so on.

    Args:
        losses: points to be minimised, shape ``(n, m)``. Those with a NaN are behind all others.

    Returns:
        Ranks of shape ``(n,)``.
    """
    points = np.asarray(losses, dtype=np.float64)
    known = _comparable(points)
    ranks = np.zeros(len(points), dtype=np.int64)
    if known.any():
        ranks[known] = moocore.pareto_rank(points[known])
        ranks[~known] = ranks[known].max() + 1
    return ranks


def hypervolume(points: ArrayLike, objectives: Sequence[Objective]) -> float:
    """Return the share of the space between worst and ideal that the points dominate.

    Args:
        points: metric values, shape ``(n, m)``, columns in the order of ``objectives``.
        objectives: the m axes.

    Returns:
        0 when nothing beats ``worst`` on every axis, 1 when a point is ideal. A point at or beyond ``worst`` on one
        axis contributes nothing; one beyond ``best`` counts as ``best`` there.
    """
    return volume(losses(points, objectives))


def volume(scaled: Losses) -> float:
    """Return the hypervolume of points that ``losses`` has scaled."""
    inside = scaled[(scaled < 1).all(axis=1)].clip(min=0)
    return float(moocore.hypervolume(inside, ref=[1.0] * scaled.shape[1])) if len(inside) else 0.0


def find_knee(losses: ArrayLike) -> int:
    """Return the row of the knee of a front: the member farthest from the line between its extremes.

    The extremes are the best member in either objective; distance counts towards the ideal. The knee stays the same
    when an axis is stretched or shifted, so only the axes' kind (linear or logarithmic) matters. Members that others
    dominate in this plane are never the knee. Where no member lies on the ideal's side of the line, as with two
    members or on a concave front, it is the extreme with the smaller sum of losses; of one member it is that one; of
    equals it is the first.

    Source: Das 1999, "On characterizing the 'knee' of the Pareto curve based on Normal-Boundary Intersection",
    Structural Optimization 18.

    Args:
        losses: two objectives to be minimised, shape ``(n, 2)``, on the scale of ``Objective.loss``.

    Raises:
        ValueError: when there is no row, or not two columns.
    """
    points = np.asarray(losses, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"a knee needs points of shape (n, 2) with n > 0, not {points.shape}")
    one, other = (points[np.lexsort((points[:, 1 - axis], points[:, axis]))[0]] for axis in (0, 1))
    line, away = other - one, points - one
    towards_ideal = line[1] * away[:, 0] - line[0] * away[:, 1]  # 0 at both extremes, without rounding
    area = abs(line[0] * line[1]) or 1.0
    return int(np.lexsort((points.sum(axis=1), -np.round(towards_ideal / area, 12)))[0])


def objective_vector(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> list[float]:
    """Return the objective vector as the sampler sees it.

    Raises:
        ValueError: naming the first metric that is missing, NaN, infinite or, on a logarithmic axis, not positive.
    """
    problem = next(filter(None, (axis.problem(metrics) for axis in objectives)), None)
    if problem is not None:
        raise ValueError(problem)
    return [axis.scaled(metrics[axis.metric]) for axis in objectives]


def _same(trial: Trial, values: Iterable[float]) -> object:
    """Return what trials of equal candidates with equal values have in common."""
    return (identity(trial.candidate), tuple(values)) if trial.candidate else trial.name


def distinct(trials: Iterable[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Return trials without those that have candidate and objectives of an earlier one."""
    found: dict[object, Trial] = {}
    for trial in trials:
        found.setdefault(_same(trial, (trial.metrics.get(axis.metric, np.nan) for axis in objectives)), trial)
    return list(found.values())


class Front:
    """The comparable trials of a search with their points, and the Pareto front among them.

    Comparable: COMPLETE, with a finite value on each axis, positive on a logarithmic one without a floor. A trial with
    the candidate and the values of an earlier one is comparable, but not on the front: its rank is one behind. Points
    are added with the trial that they are of, and compared as trials are.

    Args:
        objectives: the axes; the first is quality.
        trials: added in this order; points among them are added by themselves.

    Attributes:
        objectives: the axes.
        trials: the comparable trials and points by name, in the order in which they were added; none holds points.
        curve: the hypervolume after each trial with its points.
        hypervolume: share of the space between worst and ideal that the front dominates, from 0 to 1.
    """

    def __init__(self, objectives: Sequence[Objective], trials: Iterable[Trial] = ()) -> None:
        self.objectives = tuple(objectives)
        self.trials: dict[str, Trial] = {}
        self.curve: list[float] = []
        self.hypervolume = 0.0
        self._losses: dict[str, Losses] = {}
        self._members: dict[str, Losses] = {}
        self._stack: Losses = np.empty((0, len(self.objectives)))  # of the members, in their order
        self._first: dict[object, str] = {}  # name of the first trial of each candidate
        self._repeats: dict[str, str] = {}  # and of the trial that each other one repeats
        self._ranks: dict[str, int] | None = {}
        for trial in trials:
            self.add(trial)

    def problem(self, trial: Trial) -> str | None:
        """Return why a trial is not comparable, or None."""
        if trial.state != "COMPLETE":
            return f"it is {trial.state}"
        return next(filter(None, (axis.problem(trial.metrics) for axis in self.objectives)), None)

    def add(self, trial: Trial) -> bool:
        """Add a trial that ended, with its points, and return whether the front changed.

        A known name changes nothing, and neither do the points of a trial that is not comparable.
        """
        if trial.name in self.trials or self.problem(trial) is not None:
            return False
        changes = [self._add(replace(trial, points=()))]
        changes += [self._add(point) for point in trial.points if self.problem(point) is None]
        if any(changes):
            self.hypervolume = volume(self._stack)
        if not trial.cut:
            self.curve.append(self.hypervolume)
        elif self.curve:
            self.curve[-1] = self.hypervolume
        return any(changes)

    def _add(self, trial: Trial) -> bool:
        """Add one trial or point, and return whether it is on the front."""
        name, point = trial.name, self.losses_of([trial])[0]
        if name in self.trials:
            return False
        self.trials[name], self._losses[name], self._ranks = trial, point, None
        first = self._first.setdefault(_same(trial, point), name)
        if first != name:
            self._repeats[name] = first
            return False
        others = self._stack
        if bool(((others <= point).all(1) & (others < point).any(1)).any()):
            return False
        stays = ~((point <= others).all(1) & (point < others).any(1))
        known = zip(self._members.items(), stays, strict=True)
        self._members = dict(item for item, kept in known if kept) | {name: point}
        self._stack = np.vstack([others[stays], point])
        return True

    def losses_of(self, trials: Sequence[Trial]) -> Losses:
        """Return losses of comparable trials, shape ``(n, m)``."""
        return losses([[trial.metrics[axis.metric] for axis in self.objectives] for trial in trials], self.objectives)

    @property
    def trainings(self) -> list[Trial]:
        """The comparable trials, without points, in the order in which they were added."""
        return [trial for trial in self.trials.values() if not trial.cut]

    @property
    def members(self) -> list[Trial]:
        """The front, cheapest first: in the order of the axes after quality, then by number and T'."""
        found = [self.trials[name] for name in self._members]
        return sorted(found, key=lambda one: (*self._members[one.name][1:], one.number, one.cut))

    @property
    def ranks(self) -> Mapping[str, int]:
        """Pareto rank of each comparable trial and point by name; 0 is the front."""
        if self._ranks is None:
            points = {name: point for name, point in self._losses.items() if name not in self._repeats}
            ranks = dict(zip(points, pareto_ranks(np.stack(list(points.values()))).tolist(), strict=True))
            self._ranks = {n: ranks[n] if n in ranks else ranks[self._repeats[n]] + 1 for n in self._losses}
        return self._ranks

    @property
    def best(self) -> Trial | None:
        """The comparable trial or point that is best on the first axis, quality; the earliest of equals."""
        found = self.trials.values()
        return min(found, key=lambda one: (self._losses[one.name][0], one.number, one.cut), default=None)

    @property
    def across(self) -> Objective:
        """The axis beside quality that plots have: energy where it is an objective, or else the last."""
        return next((axis for axis in self.objectives if axis.metric == ENERGY.metric), self.objectives[-1])

    def knee(self) -> Trial | None:
        """Return the knee of the front in the plane of quality and ``across``; None of an empty front."""
        members, plane = self.members, (self.objectives[0], self.across)
        if not members:
            return None
        return members[find_knee(losses([[one.metrics[axis.metric] for axis in plane] for one in members], plane))]

    def by(self, parameter: str) -> dict[str, Front]:
        """Return a front for each value of a hyperparameter, such as ``coding``, by its text, sorted."""
        fronts: dict[str, Front] = {}
        for trial in self.trials.values():
            value = str(trial.candidate.get(parameter, ""))
            fronts.setdefault(value, Front(self.objectives)).add(trial)
        return dict(sorted(fronts.items()))


def unseparated(members: Iterable[Trial]) -> dict[str, tuple[str, ...]]:
    """Return which members of a front have a neighbour that costs as much, as far as the measured samples tell.

    Neighbours are those next in energy. Energies e and f with the standard errors s and t are separated where
    ``|e - f| >= 2 sqrt(s^2 + t^2)``. This is the error of measurements on different samples. All candidates of a search
    are measured on the same samples, whose errors mostly point the same way, so the error of a difference is smaller:
    what is marked may be separated all the same, what is not marked is. Nothing is said about quality, which
    depends on the seed more than on the samples: ``spikefront confirm`` tests it.

    Args:
        members: trials with their metrics. One without a standard error, as earlier versions stored them, is separated.

    Returns:
        Names of the neighbours that a member is not separated from, by its own name.
    """
    known = [one for one in members if ENERGY.metric in one.metrics and ENERGY_ERROR in one.metrics]
    known.sort(key=lambda one: (one.metrics[ENERGY.metric], one.number, one.cut))
    found: dict[str, tuple[str, ...]] = {}
    for one, other in pairwise(known):
        error = math.hypot(one.metrics[ENERGY_ERROR], other.metrics[ENERGY_ERROR])
        if other.metrics[ENERGY.metric] - one.metrics[ENERGY.metric] < _SEPARATED * error:
            found[one.name] = (*found.get(one.name, ()), other.name)
            found[other.name] = (one.name,)
    return found


def spread(members: Sequence[Item], most: int) -> list[Item]:
    """Return at most ``most`` (2 or more) items, evenly spaced, both ends among them."""
    if len(members) <= most:
        return list(members)
    return [members[round(place * (len(members) - 1) / (most - 1))] for place in range(most)]
