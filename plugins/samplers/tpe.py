"""Tree-structured Parzen estimator, of Optuna.

Reference: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011; for several objectives Ozaki et
al., "Multiobjective tree-structured Parzen estimator", JAIR 73 (2022).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from spikefront.plugins import Sampler, hookimpl


class TPE(Sampler):
    """Tree-structured Parzen estimator: joint densities of the good trials and of the others.

    Hyperparameters that occur together are drawn together, which Optuna does not by default: docs/search.md has what
    each finds on a table of trained networks.
    """

    name = "tpe"

    def make(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of ``group``, for programmers
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(TPE)
