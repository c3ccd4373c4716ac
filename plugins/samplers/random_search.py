"""Random search, of Optuna.

Reference: Bergstra & Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012).
"""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import Sampler, hookimpl


class RandomSearch(Sampler):
    """Independent random draws."""

    name = "random"

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.RandomSampler(seed=seed)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(RandomSearch)
