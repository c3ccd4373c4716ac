"""How much each hyperparameter matters for each objective, from the trials of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikefront.results.findings import Findings
from spikefront.searchspace import Objective, Trial

ENOUGH: Final = 40
"""Fewest trials from which importances are estimated."""
MOST: Final = 1000
"""Trials that are looked at; of more, as many at random."""
_FOLDS: Final = 3
_TREES: Final = 60
_SHUFFLES: Final = 3
_SAME: Final = 1e-12
"""Losses that differ by no more are equal."""

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
    """The importances for one objective.

    Attributes:
        axis: the objective.
        trials: how many were looked at.
        r2: coefficient of determination of the forest on trials that it had not seen; NaN of too few.
        rows: hyperparameters that varied, the most important first, those of too few trials last.
    """

    axis: Objective
    trials: int
    r2: float
    rows: tuple[Importance, ...]


def explain(findings: Findings) -> tuple[Explained, ...]:
    """Estimate importances for each objective, on its own scale (logarithmic for energy).

    A forest of extremely randomised trees learns the objective from all hyperparameters. On trials that it has not seen
    (3 folds) each is shuffled among the trials that have it, and ``(MSE shuffled - MSE) / (2 variance)`` among these is
    its share: for independent inputs the total-order Sobol index (Gregorutti, Michel and Saint-Pierre 2017,
    "Correlation and variable importance in random forests"). A choice, such as the coding, is shuffled together with
    the hyperparameters that come with it. Shares of inputs that interact, or that the sampler drew together, need not
    add up to 1.

    Returns:
        One for each axis; without rows and with NaN for ``r2`` where fewer than ``ENOUGH`` trials are comparable, or
        all have the same value.
    """
    trials = findings.comparable
    if len(trials) > MOST:
        chosen = np.random.default_rng(0).choice(len(trials), MOST, replace=False)
        trials = [trials[place] for place in sorted(chosen)]
    targets = findings.front.losses_of(trials)
    names = sorted({name for trial in trials for name in trial.candidate} - {"task", "seed"})
    columns = [_column(trials, name) for name in names]
    vary = [len(np.unique(column[~np.isnan(column)])) > 1 for column in columns]
    names = [name for name, varies in zip(names, vary, strict=True) if varies]
    kept = [column for column, varies in zip(columns, vary, strict=True) if varies]
    data = np.column_stack(kept) if kept else np.empty((len(trials), 0))
    return tuple(_explain(axis, names, data, targets[:, place]) for place, axis in enumerate(findings.objectives))


def _column(trials: Sequence[Trial], name: str) -> Floats:
    """Return values as numbers, texts as places in their sorted list; NaN for trials that don't have it."""
    texts = [str(trial.candidate[name]) if name in trial.candidate else None for trial in trials]
    try:
        return np.array([math.nan if text is None else float(text) for text in texts])
    except ValueError:
        place = {text: float(rank) for rank, text in enumerate(sorted({text for text in texts if text is not None}))}
        return np.array([math.nan if text is None else place[text] for text in texts])


def _explain(axis: Objective, names: Sequence[str], data: Floats, target: Floats) -> Explained:
    if len(target) < ENOUGH or not names or np.ptp(target) <= _SAME:
        return Explained(axis, len(target), math.nan, ())
    has = ~np.isnan(data)
    own = [[at for at, other in enumerate(names) if other.startswith(f"{name}.")] for name in names]
    filled = np.where(has, data, np.nanmedian(data, axis=0))  # a value of its own would give the choice above away
    lost, base, r2 = _shuffled(filled, has, own, target)
    rows = []
    for at, name in enumerate(names):
        count = int(has[:, at].sum())
        mine = target[has[:, at]]
        varies = np.ptp(mine) > _SAME
        share = float((lost[at] - base[at]) / (2 * np.var(mine))) if varies else 0.0
        rows.append(Importance(name, min(max(share, 0.0), 1.0) if count >= ENOUGH else math.nan, count, bool(own[at])))
    order = sorted(rows, key=lambda row: (math.isnan(row.share), -row.share if row.share == row.share else 0, row.name))
    return Explained(axis, len(target), r2, tuple(order))


def _shuffled(
    data: Floats, has: NDArray[np.bool_], own: Sequence[Sequence[int]], target: Floats
) -> tuple[Floats, Floats, float]:
    """Return squared errors among the trials that have each input, shuffled and as they are, and R2 over all."""
    from sklearn.ensemble import ExtraTreesRegressor

    generator = np.random.default_rng(0)
    fold = generator.permutation(len(target)) % _FOLDS
    errors = np.zeros(len(target))
    lost, seen = np.zeros(data.shape[1]), np.zeros(data.shape[1])
    for held in range(_FOLDS):
        forest = ExtraTreesRegressor(_TREES, min_samples_leaf=2, random_state=0)
        forest.fit(data[fold != held], target[fold != held])
        rows = np.flatnonzero(fold == held)
        errors[rows] = (forest.predict(data[rows]) - target[rows]) ** 2
        copies, truths, lengths = [], [], []
        for at in range(data.shape[1]):
            mine = rows[has[rows, at]]
            for _ in range(_SHUFFLES if len(mine) > 1 else 0):
                copy = data[mine].copy()
                together = [at, *own[at]]
                copy[:, together] = copy[generator.permutation(len(mine))][:, together]
                copies.append(copy)
                truths.append(target[mine])
                lengths.append((at, len(mine)))
        wrong = (forest.predict(np.vstack(copies)) - np.concatenate(truths)) ** 2  # one call: each costs much
        ends = np.cumsum([length for _, length in lengths])
        for (at, length), end in zip(lengths, ends, strict=True):
            lost[at] += wrong[end - length : end].sum()
            seen[at] += length
    base = np.array([errors[has[:, at]].mean() for at in range(data.shape[1])])
    return lost / np.maximum(seen, 1), base, float(1 - errors.mean() / np.var(target))
