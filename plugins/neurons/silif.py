"""SiLIF neuron: the adLIF neuron with rates in time units of a state-space model, ``alpha = exp(-rate * step)``.

The equations are those of ``adlif``; what differs is how they are set. The rates of potential and adaptation and the
duration of a step are searched on log scales, which spans time constants of 1 to 100 steps for the potential and of 25
to 100 for the adaptation at the published duration of a step, 4 ms.

Reference: Fabre et al., "SiLIF: Structured state space model dynamics and parametrization for spiking neural networks",
arXiv 2506.06374 (2025), equations and ranges of its released code. There each neuron learns its numbers; **here a
layer's neurons share numbers that the search chooses**, and start at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Neuron, hookimpl
from spikefront.plugins.neurons.adlif import AdLIF
from spikefront.searchspace import PINNED, Float


@dataclass(frozen=True, slots=True)
class SiLIFConfig:
    """Hyperparameters of the SiLIF neuron."""

    rate: Annotated[float, Float(10.0, 250.0, log=True)] = 50.0
    """Rate at which the potential decays, per second."""
    rate_adaptation: Annotated[float, Float(2.5, 10.0, log=True)] = 5.0
    """Rate at which the adaptation decays, per second."""
    step_s: Annotated[float, Float(0.0005, 0.05, log=True), PINNED] = 0.004
    """Duration of a time step, in seconds."""
    a: Annotated[float, Float(0.0, 1.0)] = 0.5
    """What the potential adds to the adaptation."""
    b: Annotated[float, Float(0.0, 2.0)] = 1.0
    """What a spike adds to the adaptation."""


class SiLIF(AdLIF):
    """Adaptive integrator whose decays are rates times the duration of a step."""

    name = "silif"
    Config = SiLIFConfig

    @property
    def decays(self) -> tuple[float, float]:
        config = self.config
        return math.exp(-config.rate * config.step_s), math.exp(-config.rate_adaptation * config.step_s)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SiLIF)
