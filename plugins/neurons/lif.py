"""Leaky integrate-and-fire (LIF) neuron: its membrane potential decays with time constant tau.

``H[t] = V[t-1] + (X[t] - V[t-1]) / tau`` with ``decay_input``, ``H[t] = (1 - 1/tau) V[t-1] + X[t]`` without; it fires
where H reaches the threshold, then V is set to 0 (hard reset) or loses the threshold (soft).

Reference: discrete form and conventions as SpikingJelly's LIFNode (Fang et al., Science Advances 9, 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikefront.plugins import LeakyConfig, Neuron, hookimpl
from spikefront.plugins.bases.leaky import Leaky


@dataclass(frozen=True, slots=True)
class LIFConfig(LeakyConfig):
    """Hyperparameters of the LIF neuron."""


class LIF(Leaky):
    """Leaky integrator with a threshold."""

    name = "lif"
    Config = LIFConfig
    config: LIFConfig


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(LIF)
