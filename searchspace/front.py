"""Pareto fronts: who is on one, how far the others are from it, and how much of the ideal it covers.

Everything is computed on ``Objective.loss``: each axis is minimised, 0 is the ideal and 1 the worst that counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikefront.searchspace.objectives import Objective

Losses = NDArray[np.float64]


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
        told = np.log10(scaled[:, column]) if axis.log else scaled[:, column]
        worst, best = axis.told(axis.worst), axis.told(axis.best)
        scaled[:, column] = (told - best) / (worst - best)
    return scaled


def nondominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Say which points no other point dominates. Points with equal values don't dominate each other.

    Args:
        losses: points to be minimised, shape ``(n, m)``.

    Returns:
        Mask of shape ``(n,)``.
    """
    points = np.asarray(losses, dtype=np.float64)
    if len(points) == 0:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=True), dtype=np.bool_)


def pareto_ranks(losses: ArrayLike) -> NDArray[np.int64]:
    """Count the fronts to be peeled off before each point is on the front: 0 on the front, 1 behind it, and so on.

    Args:
        losses: points to be minimised, shape ``(n, m)``.

    Returns:
        Ranks of shape ``(n,)``.
    """
    points = np.asarray(losses, dtype=np.float64)
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(points), dtype=np.int64)


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
