"""Bayesian optimisation with Gaussian processes, of Optuna."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import Sampler, hookimpl


class GP(Sampler):
    """Bayesian optimisation with a Gaussian process for each objective."""

    name = "gp"

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.GPSampler(seed=seed)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(GP)
