"""SE-adLIF neuron: adLIF with the symplectic Euler step, in which the adaptation answers to the newest potential.

With alpha and beta what is left of potential u and adaptation w after a step, and q a scale::

    u[t] = alpha u[t-1] + (1 - alpha) (I[t] - w[t-1])
    s[t] = 1 if u[t] > 1;   u[t] = u[t] (1 - s[t])
    w[t] = beta w[t-1] + (1 - beta) q (a u[t] + b s[t])          symplectic
    w[t] = beta w[t-1] + (1 - beta) q (a u[t-1] + b s[t-1])      euler

The symplectic form stays stable where the other blows up, at the same price.

Reference: Baronig, Ferrand, Sabathiel & Legenstein, "Advancing spatio-temporal processing in spiking neural networks
through adaptation", arXiv 2408.07517 (2024), equations and ranges of its released code. There each neuron learns its
numbers; **here a layer's neurons share numbers that the search chooses**.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Neuron, Operations, hookimpl
from spikefront.plugins.bases.stepwise import Adaptive, State
from spikefront.plugins.network.operations import product_by
from spikefront.plugins.network.stepping import fires
from spikefront.searchspace import PINNED, Choice, Float


@dataclass(frozen=True, slots=True)
class SEAdLIFConfig:
    """Hyperparameters of the SE-adLIF neuron."""

    tau: Annotated[float, Float(5.0, 25.0, log=True)] = 10.0
    """Time constant of the membrane potential, in time steps."""
    tau_adaptation: Annotated[float, Float(30.0, 300.0, log=True)] = 60.0
    """Time constant of the adaptation, in time steps."""
    a: Annotated[float, Float(0.0, 1.0)] = 0.5
    """What the potential adds to the adaptation, before the scale."""
    b: Annotated[float, Float(0.0, 2.0)] = 1.0
    """What a spike adds to the adaptation, before the scale."""
    scale: Annotated[float, Float(1.0, 120.0, log=True)] = 10.0
    """Scale of both, q."""
    discretisation: Annotated[str, Choice(("symplectic", "euler")), PINNED] = "symplectic"
    """Whether the adaptation answers to the potential of the same step or to that of the step before."""


class SEAdLIF(Adaptive):
    """Adaptive integrator in the symplectic Euler discretisation."""

    name = "se-adlif"
    Config = SEAdLIFConfig

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        (alpha, beta), config = self.decays, self.config
        zero = torch.zeros_like(current)
        before, w, fired = (zero, zero, zero) if state is None else state
        u = alpha * before + (1 - alpha) * (current - w)
        s = fires(u, 1.0, self.surrogate, above=True)
        u = u * (1 - s)
        fed = (u, s) if config.discretisation == "symplectic" else (before, fired)
        w = beta * w + (1 - beta) * config.scale * (config.a * fed[0] + config.b * fed[1])
        return s, (u, w, s)

    def update_operations(self) -> Operations:
        # products by alpha, 1 - alpha, beta and (1 - beta) q a; four sums, a comparison and what a spike adds
        alpha, beta = self.decays
        products = product_by(alpha) + product_by(1 - alpha) + product_by(beta)
        return products + product_by((1 - beta) * self.config.scale * self.config.a) + Operations(adds=6)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SEAdLIF)
