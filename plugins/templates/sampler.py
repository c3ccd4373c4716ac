"""NSGA-II, of Optuna, in small generations: a genetic algorithm with non-dominated sorting.

Write here what yours is: what it proposes next from the finished trials, and the paper. ``make`` may return any sampler
for Optuna, also one of your own that derives from ``optuna.samplers.BaseSampler``.

Reference: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on Evolutionary
Computation 6 (2002).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import PINNED, Int, Sampler, hookimpl


@dataclass(frozen=True, slots=True)
class MySamplerConfig:
    """Settings of my-sampler."""

    population: Annotated[int, Int(4, 500), PINNED] = 12
    """Candidates of a generation."""


class MySampler(Sampler):
    """NSGA-II in small generations (Deb et al., 2002)."""

    name = "my-sampler"
    Config = MySamplerConfig
    config: MySamplerConfig

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.NSGAIISampler(population_size=self.config.population, seed=seed)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(MySampler)
