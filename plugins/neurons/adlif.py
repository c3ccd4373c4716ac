"""Adaptive LIF (adLIF) neuron: a second current, fed by the potential and by the spikes, holds the potential back.

With alpha and beta what is left of potential u and adaptation w after a step::

    w[t] = beta w[t-1] + a u[t-1] + b s[t-1]
    u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (I[t] - w[t])
    s[t] = 1 if u[t] > 1

A positive a makes the potential oscillate, so that a neuron answers to rhythms of its own frequency; b adapts it to its
own spikes. ``alpha = exp(-1/tau)`` and ``beta = exp(-1/tau_adaptation)``.

Reference: Bittar & Garner, "A surrogate gradient spiking baseline for speech command recognition", Frontiers in
Neuroscience 16 (2022), equations and ranges of its released code. There each neuron learns its numbers and starts at
random; **here a layer's neurons share numbers that the search chooses**, and start at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Neuron, Operations, hookimpl
from spikefront.plugins.bases.stepwise import Adaptive, State
from spikefront.plugins.network.operations import product_by
from spikefront.plugins.network.stepping import fires
from spikefront.searchspace import Float


@dataclass(frozen=True, slots=True)
class AdLIFConfig:
    """Hyperparameters of the adLIF neuron."""

    tau: Annotated[float, Float(5.0, 25.0, log=True)] = 10.0
    """Time constant of the membrane potential, in time steps."""
    tau_adaptation: Annotated[float, Float(30.0, 120.0, log=True)] = 60.0
    """Time constant of the adaptation, in time steps."""
    a: Annotated[float, Float(-1.0, 1.0)] = 0.5
    """What the potential adds to the adaptation."""
    b: Annotated[float, Float(0.0, 2.0)] = 1.0
    """What a spike adds to the adaptation."""


class AdLIF(Adaptive):
    """Leaky integrator with an adaptation that its potential and its spikes feed."""

    name = "adlif"
    Config: ClassVar[type] = AdLIFConfig

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        (alpha, beta), config = self.decays, self.config
        if state is None:
            u, w = (1 - alpha) * current, torch.zeros_like(current)
        else:
            u, w, s = state
            w = beta * w + config.a * u + config.b * s
            u = alpha * (u - s) + (1 - alpha) * (current - w)
        s = fires(u, 1.0, self.surrogate, above=True)
        return s, (u, w, s)

    def update_operations(self) -> Operations:
        # products by alpha, 1 - alpha, beta and a; four sums, what a spike adds and a comparison
        alpha, beta = self.decays
        products = product_by(alpha) + product_by(1 - alpha) + product_by(beta) + product_by(self.config.a)
        return products + Operations(adds=6)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(AdLIF)
