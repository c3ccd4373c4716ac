"""How much each hyperparameter matters for the front and for each objective, from the trials of a search.

Not by Optuna's PED-ANOVA: at 300 random trials it puts what acts only together with another before what does nothing in
82 % of pairs, in a conditional space 78 %, this all; its shares have no scale (``benchmarks/importance.py``, 5 seeds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikefront.results.findings import Findings
from spikefront.searchspace import Objective, Value

ENOUGH: Final = 40
"""Fewest trials from which importances are estimated."""
MOST: Final = 500
"""Trials that are looked at; of more, as many at random."""
NEARNESS: Final = Objective("pareto_rank", maximize=False, worst=1e3, best=1.0, log=True, name="the front")
"""Nearness to the front: the Pareto rank, which is 1 on the front."""
_FOLDS: Final = 3
_SHUFFLES: Final = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much a hyperparameter matters.

    Attributes:
        name: of the hyperparameter, flat.
        share: total-order Sobol index, from 0 (does not matter) to 1 (all of the variance); NaN of too few trials.
        trials: how many of the trials looked at have it.
        with_own: whether it is a choice that has hyperparameters of its own, which were shuffled with it.
    """

    name: str
    share: float
    trials: int
    with_own: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """The importances for the front, or for one objective.

    Attributes:
        axis: the objective; ``NEARNESS`` for the front.
        trials: how many were looked at.
        r2: coefficient of determination of the forest on trials that it had not seen; NaN of too few.
        rows: hyperparameters that varied, the most important first, those of too few trials last.
    """

    axis: Objective
    trials: int
    r2: float
    rows: tuple[Importance, ...]


def explain(findings: Findings) -> tuple[Explained, ...]:
    """Estimate importances for the front and for each objective, on its own scale (logarithmic for energy and ranks).

    A forest of extremely randomised trees learns the target from the ranks of all hyperparameters. What it predicts of
    trials that it has not seen (3 folds) is stretched around the mean by the least-squares slope, between 1 and 2,
    since a forest of few trials predicts too little variance. Each hyperparameter is shuffled among the trials that
    have it, and ``(MSE shuffled - MSE) / (2 variance)`` among these is its share: for independent inputs the
    total-order Sobol index (Gregorutti, Michel and Saint-Pierre 2017, "Correlation and variable importance in random
    forests"; the slope is ours). A choice, such as the coding, is shuffled together with the hyperparameters that come
    with it. Shares of inputs that interact, or that the sampler drew together, need not add up to 1.

    Returns:
        The front's, then one for each objective; without rows and with NaN for ``r2`` where fewer than ``ENOUGH``
        trials are comparable, or all have the same value.
    """
    trials = findings.comparable
    if len(trials) > MOST:
        chosen = np.random.default_rng(0).choice(len(trials), MOST, replace=False)
        trials = [trials[place] for place in sorted(chosen)]
    if len(trials) < ENOUGH:
        return tuple(Explained(axis, len(trials), math.nan, ()) for axis in (NEARNESS, *findings.objectives))
    names = sorted({name for trial in trials for name in trial.candidate} - {"task", "seed"})
    columns = {name: _ranks([trial.candidate.get(name) for trial in trials]) for name in names}
    columns = {name: column for name, column in columns.items() if np.nanmin(column) < np.nanmax(column)}
    targets = dict(zip(findings.objectives, findings.front.losses_of(trials).T, strict=True))
    ranks = np.array([NEARNESS.loss(1.0 + findings.front.ranks[trial.name]) for trial in trials])
    return tuple(_explained(axis, columns, target) for axis, target in ({NEARNESS: ranks} | targets).items())


def _ranks(values: Sequence[Value | None]) -> Floats:
    """Return the ranks of values: of numbers by size, of texts by the alphabet; NaN where a trial has none."""
    from scipy.stats import rankdata

    texts = [None if value is None else str(value) for value in values]
    known = sorted({text for text in texts if text is not None})
    place = {text: float(rank) for rank, text in enumerate(known)}
    if all(map(is_number, known)):
        place = {text: float(text) for text in known}
    ranks: Floats = rankdata([math.nan if text is None else place[text] for text in texts], nan_policy="omit")
    return ranks


def is_number(value: object) -> bool:
    """Return whether a value of a hyperparameter, or its text, is a finite number; booleans are not."""
    try:
        return math.isfinite(float(str(value)))
    except ValueError:
        return False


def _explained(axis: Objective, columns: Mapping[str, Floats], target: Floats) -> Explained:
    if len(target) < ENOUGH or not columns or np.ptp(target) <= 1e-12:
        return Explained(axis, len(target), math.nan, ())
    data = np.column_stack(list(columns.values()))
    has = ~np.isnan(data)
    data = np.where(has, data, np.nanmedian(data, axis=0))  # a value of its own would give the choice above away
    own = [[at for at, other in enumerate(columns) if f"{other}.".startswith(f"{name}.")] for name in columns]
    lost, r2 = _lost(data, has, own, target)
    rows = []
    for at, name in enumerate(columns):
        count, variance = int(has[:, at].sum()), float(np.var(target[has[:, at]]))
        share = min(max(float(lost[at]) / (2 * variance), 0.0), 1.0) if variance > 1e-24 else 0.0
        rows.append(Importance(name, share if count >= ENOUGH else math.nan, count, len(own[at]) > 1))
    rows.sort(key=lambda row: (math.isnan(row.share), -row.share if row.share == row.share else 0, row.name))
    return Explained(axis, len(target), r2, tuple(rows))


def _lost(data: Floats, has: NDArray[np.bool_], own: Sequence[Sequence[int]], target: Floats) -> tuple[Floats, float]:
    """Return the squared error that shuffling each input adds among the trials that have it, and R2 over all."""
    from sklearn.ensemble import ExtraTreesRegressor

    generator = np.random.default_rng(0)
    fold = generator.permutation(len(target)) % _FOLDS
    known, shuffled = np.zeros(len(target)), []
    which: list[int] = []
    where: list[int] = []
    for held in range(_FOLDS):
        forest = ExtraTreesRegressor(60, min_samples_leaf=2, random_state=0)
        forest.fit(data[fold != held], target[fold != held])
        rows = np.flatnonzero(fold == held)
        known[rows] = forest.predict(data[rows])
        copies = []
        for at, together in [(at, together) for at, together in enumerate(own) for _ in range(_SHUFFLES)]:
            mine = rows[has[rows, at]]
            copies.append(data[mine])
            copies[-1][:, together] = data[generator.permutation(mine)][:, together]
            which += [at] * len(mine)
            where += mine.tolist()
        shuffled += forest.predict(np.vstack(copies)).tolist()  # one call: each costs much
    mean, varies = target.mean(), float(np.var(known))
    slope = np.clip(np.mean((known - known.mean()) * (target - mean)) / varies, 1, 2) if varies else 1.0
    before, after = (mean + slope * (np.array(each) - mean) for each in (known, shuffled))
    lost = np.bincount(which, (after - target[where]) ** 2 - (before - target)[where] ** 2, len(own))
    r2 = 1 - np.mean((known - target) ** 2) / np.var(target)
    return lost / np.maximum(np.bincount(which, minlength=len(own)), 1), float(r2)
