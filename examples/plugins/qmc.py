"""A sampler: quasi-Monte Carlo search, which covers the space more evenly than random draws. It is one of Optuna's.

Its points are those of a fixed space, which it takes from the first finished trial; hyperparameters that are not in
that one are drawn at random.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import PINNED, Choice, Sampler, hookimpl


@dataclass(frozen=True, slots=True)
class QMCConfig:
    """Settings of the sequence."""

    sequence: Annotated[str, Choice(("sobol", "halton")), PINNED] = "sobol"
    """Low-discrepancy sequence."""


class QMC(Sampler):
    """Quasi-Monte Carlo search: points of a low-discrepancy sequence (Bergstra & Bengio, JMLR 2012)."""

    name = "qmc"
    Config = QMCConfig
    config: QMCConfig

    def make(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.QMCSampler(
                qmc_type=self.config.sequence, scramble=True, seed=seed, warn_independent_sampling=False
            )


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(QMC)
