"""Parametric LIF (PLIF) neuron: each layer learns its time constant.

A LIF neuron (see ``lif``) whose leak ``1/tau`` is the logistic function of one learnt parameter per layer.

Reference: Fang et al., "Incorporating learnable membrane time constant to enhance learning of spiking neural networks",
ICCV 2021; conventions as SpikingJelly's ParametricLIFNode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from spikefront.plugins import PINNED, Choice, Float, Neuron, Surrogate, hookimpl
from spikefront.plugins.bases.leaky import Leaky


@dataclass(frozen=True, slots=True)
class PLIFConfig:
    """Hyperparameters of the PLIF neuron."""

    init_tau: Annotated[float, Float(1.1, 10.0, log=True)] = 2.0
    """Membrane time constant at the start, in time steps."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or subtract the threshold."""
    decay_input: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the current is divided by tau too."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""


class PLIF(Leaky):
    """Leaky integrator with a threshold and a learnt time constant per layer."""

    name = "plif"
    Config = PLIFConfig
    config: PLIFConfig

    def __init__(self, config: PLIFConfig | None = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        self.w = nn.Parameter(torch.tensor(-math.log(self.config.init_tau - 1)))  # sigmoid(w) = 1 / init_tau

    def leak(self) -> Tensor:
        return self.w.sigmoid()


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(PLIF)
