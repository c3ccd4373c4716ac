"""The outcome of a trial as the journal has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefront.searchspace import Objective
from spikefront.searchspace.front import nondominated, objective_vector
from spikefront.searchspace.objectives import Limits


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that JSON can hold."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def points_in(outcome: Mapping[str, Any]) -> dict[int, Mapping[str, float]]:
    """Return the metrics of a trial's points by T'; none of what earlier versions wrote."""
    return {int(cut): metrics for cut, metrics in outcome.get("points", {}).items()}


def standing_of(
    points: Iterable[Mapping[str, float]], objectives: Sequence[Objective], limits: Limits
) -> NDArray[np.float64]:
    """Return the objective vectors of a training's points, and by how much each oversteps the limits.

    Left out are those without a vector, and those that another point is better than on all axes.

    Returns:
        Shape ``(n, m + 1)``.
    """
    rows = []
    for point in points:
        if all(axis.problem(point) is None for axis in objectives):
            over = limits.violations(point, objectives[0].maximize).values()
            rows.append([*objective_vector(point, objectives), sum(max(one, 0.0) for one in over)])
    found = np.array(rows).reshape(-1, len(objectives) + 1)
    return found[nondominated(found[:, :-1] * [-1.0 if axis.maximize else 1.0 for axis in objectives])]
