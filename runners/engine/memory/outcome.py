"""The outcome of a trial as the journal has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that JSON can hold."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def points_in(outcome: Mapping[str, Any]) -> dict[int, Mapping[str, float]]:
    """Return the metrics of a trial's points by T'; none of what earlier versions wrote."""
    return {int(cut): metrics for cut, metrics in outcome.get("points", {}).items()}
