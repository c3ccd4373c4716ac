"""NSGA-II, of Optuna.

Reference: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on Evolutionary
Computation 6 (2002).
"""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import Sampler, hookimpl


class NSGA2(Sampler):
    """NSGA-II: a genetic algorithm with non-dominated sorting."""

    name = "nsga2"

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.NSGAIISampler(seed=seed)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(NSGA2)
