"""Limits that candidates should keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate should keep to; the sampler learns to prefer those that do.

    Attributes:
        max_energy_nj: energy per sample, in nanojoules.
        max_latency_steps: time steps to the output.
        max_parameters: learnt parameters.
        min_quality: quality on the validation split.
    """

    max_energy_nj: float | None = None
    max_latency_steps: float | None = None
    max_parameters: float | None = None
    min_quality: float | None = None

    def violations(self, metrics: Mapping[str, float], maximize: bool = True) -> dict[str, float]:
        """Return how far each limit is overstepped, 0 or less where it is kept.

        Energy, latency and parameters are compared by the logarithm of their ratio to the limit: one scale for all.

        Args:
            metrics: what was measured.
            maximize: whether more quality is better; ``min_quality`` is else the most that is allowed.
        """
        found = {}
        for metric in ("energy_nj", "latency_steps", "parameters"):
            limit = getattr(self, f"max_{metric}")
            if limit is not None:
                found[metric] = math.log10(max(metrics[metric], 1e-9) / limit)
        if self.min_quality is not None:
            found["quality"] = (self.min_quality - metrics["quality"]) * (1 if maximize else -1)
        return found


NO_LIMITS: Final = Limits()
