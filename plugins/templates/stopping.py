"""Stopping of networks that fire at more than a given rate in the second half of their budget.

Write here what yours stops, on what evidence, and the paper. What it must remember of a trial, after a resume too, it
returns from ``state(number)`` and takes back in ``restore(number, state)``; this rule looks at one epoch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import PINNED, Float, StoppingRule, Trial, hookimpl


@dataclass(frozen=True, slots=True)
class MyStoppingConfig:
    """Hyperparameters of my-stopping."""

    rate: Annotated[float, Float(0.0, 1.0), PINNED] = 0.5
    """Spike rate above which a network is stopped."""


class MyStopping(StoppingRule):
    """Stopping of networks that fire at more than a given rate in the second half of their budget."""

    name = "my-stopping"
    Config = MyStoppingConfig
    config: MyStoppingConfig

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        rate = trial.metrics.get("spike_rate", 0.0)
        if trial.epoch < trial.budget / 2 or not rate > self.config.rate:
            return None
        return f"stopped at epoch {trial.epoch} of {trial.budget}: spike rate {rate:.2f}"


@hookimpl
def register_stopping_rules(register: Callable[[type[StoppingRule]], None]) -> None:
    register(MyStopping)
