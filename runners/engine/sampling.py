"""Optuna's samplers by name."""

from __future__ import annotations

from typing import Final

import optuna

_SPLIT_ONCE_WITH: Final = "5.0."  # Optuna versions with whose own TPE ours was compared, draw by draw


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler that a search names: ``tpe``, ``nsga2``, ``gp`` or ``random``."""
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    if not optuna.__version__.startswith(_SPLIT_ONCE_WITH):
        return optuna.samplers.TPESampler(seed=seed)  # the same draws, later
    from spikefront.runners.engine.tpe import SplitOnceTPE

    return SplitOnceTPE(seed=seed)
