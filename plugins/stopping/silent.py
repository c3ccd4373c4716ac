"""Networks that are silent or saturated, at chance: they learn nothing.

From Firmin et al. 2024, "Parallel Hyperparameter Optimization Of Spiking Neural Networks", who count spikes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from spikefront.plugins import PINNED, Int, Objective, StoppingRule, Trial, hookimpl

SATURATED: Final = 0.95
"""Spikes per neuron and step above which a layer is saturated, if all are."""
LEARNT_NOTHING: Final = 0.05
"""Share of the way from chance to the best possible quality up to which a network has learnt nothing."""

Metrics = Mapping[str, float]


def dead_reason(
    history: Mapping[int, Metrics], epoch: int, budget: int, *, chance: float, best: float, patience: int = 3
) -> str | None:
    """Return the reason to stop a dead network (silent or saturated, at chance for ``patience`` epochs), or None.

    Surrogate gradients wake silent neurons: of 187 random candidates on digits (8 epochs of 22 batches), 108 met the
    rule below for an epoch, of which 67 ended beyond 30 % accuracy, up to 98 %; for two epochs in a row 53, of which
    15, up to 86 %; for three 35, of which 1, at 44 %. At each of the epochs two things must hold:

    - Quality is at chance: at most 5 % of the way from ``chance`` to ``best``. Rates alone mislead: a residual block
      may be silent beside a bypass that works, and a ternary layer may always fire, and differ in sign.
    - A spiking layer never fires, or one always does, or all fire at more than 95 % of the steps. Few spikes are no
      reason: latency codes start with few, and one spike in 64 steps is only 1.6 %.

    Args:
        history: metrics by epoch, from 1: ``quality``, ``spike_rate`` over all neurons and, where known,
            ``min_layer_rate`` and ``max_layer_rate``: the lowest and highest rate of any spiking layer, in [0, 1].
        epoch: the epoch that ended.
        budget: the trial's epochs in all. None is stopped at its last epoch; a conversion coding has no other.
        chance: quality of the best constant output.
        best: the best possible quality; less than ``chance`` when quality is minimised.
        patience: how many epochs in a row; 1 or more.
    """
    window = [history.get(epoch - back, {}) for back in range(patience)]
    symptoms = [_symptom(metrics) for metrics in window]
    learnt = [(metrics.get("quality", best) - chance) / (best - chance) for metrics in window]
    if epoch >= budget or not all(symptoms) or not all(share <= LEARNT_NOTHING for share in learnt):
        return None
    return f"stopped at epoch {epoch} of {budget}: {symptoms[0]}, quality at chance ({window[0]['quality']:.3g})"


def _symptom(metrics: Metrics) -> str | None:
    """Return how an epoch's spikes carry no information, or None."""
    mean = metrics.get("spike_rate", math.nan)
    least, most = metrics.get("min_layer_rate", mean), metrics.get("max_layer_rate", mean)
    if least == 0:
        return "silent: no neuron fires" if most == 0 else "silent: a layer never fires"
    if least > SATURATED:
        return f"saturated: all layers fire at more than {SATURATED:.0%} of the steps"
    return "saturated: a layer fires at every step" if most == 1 else None


@dataclass(frozen=True, slots=True)
class SilentConfig:
    """Hyperparameters of the rule."""

    patience: Annotated[int, Int(1, 1000), PINNED] = 3
    """Epochs in a row for which a network must be silent or saturated, and at chance."""


class Silent(StoppingRule):
    """Stopping of networks that are silent or saturated, at chance for some epochs."""

    name = "silent"
    Config = SilentConfig
    config: SilentConfig

    def begin(self, objectives: Sequence[Objective], *, chance: float, best: float) -> None:
        self._chance, self._best = chance, best

    def decide(self, trial: Trial, history: Mapping[int, Metrics]) -> str | None:
        patience = self.config.patience
        return dead_reason(history, trial.epoch, trial.budget, chance=self._chance, best=self._best, patience=patience)


@hookimpl
def register_stopping_rules(register: Callable[[type[StoppingRule]], None]) -> None:
    register(Silent)
