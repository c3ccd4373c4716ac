"""Tree-structured Parzen estimator, of Optuna.

Reference: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011; for several objectives Ozaki et
al., "Multiobjective tree-structured Parzen estimator", JAIR 73 (2022).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import Sampler, hookimpl

_SPLIT_ONCE_WITH: Final = "5.0."  # Optuna versions with whose own TPE ours was compared, draw by draw


class TPE(Sampler):
    """Tree-structured Parzen estimator: densities of the good trials and of the others."""

    name = "tpe"

    def make(self, seed: int) -> BaseSampler:
        if not optuna.__version__.startswith(_SPLIT_ONCE_WITH):
            return optuna.samplers.TPESampler(seed=seed)  # the same draws, later
        from spikefront.plugins.bases.split_once_tpe import SplitOnceTPE

        return SplitOnceTPE(seed=seed)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(TPE)
