"""SpikingJelly's ``QIFNode`` as a neuron: quadratic integrate-and-fire, which a weak current alone can't drive.

With rest at 0 and ``critical`` the potential from which it climbs by itself::

    H[t] = V[t-1] + (X[t] + a V[t-1] (V[t-1] - critical)) / tau
    S[t] = 1 if H[t] >= threshold else 0;   V[t] = 0 after a spike, else H[t]

Reference: Fang et al., "SpikingJelly: an open-source machine learning infrastructure platform for spike-based
intelligence", Science Advances 9 (2023), after Latham et al., Journal of Neurophysiology 83 (2000). Computed by
SpikingJelly itself, with the surrogate gradient that is searched; its rest and its reset are at 0 here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from spikefront.plugins import PINNED, Choice, Float, Neuron, Operations, hookimpl
from spikefront.plugins.adapters.neurons import Spikes, SpikingJellyNeuron


@dataclass(frozen=True, slots=True)
class SpikingJellyQIFConfig:
    """Hyperparameters of SpikingJelly's ``QIFNode``."""

    tau: Annotated[float, Float(1.1, 10.0, log=True)] = 2.0
    """Membrane time constant, in time steps."""
    critical: Annotated[float, Float(0.2, 1.0)] = 0.8
    """Potential above which it climbs without a current."""
    a: Annotated[float, Float(0.2, 2.0)] = 1.0
    """How strongly the square of the potential acts."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""


class SpikingJellyQIF(SpikingJellyNeuron):
    """Quadratic integrate-and-fire neuron of SpikingJelly (`QIFNode`)."""

    name = "spikingjelly-qif"
    Config = SpikingJellyQIFConfig
    config: SpikingJellyQIFConfig

    def build(self, spikes: Spikes) -> nn.Module:
        from spikingjelly.activation_based import neuron

        config = self.config
        cell: nn.Module = neuron.QIFNode(
            tau=config.tau,
            v_c=config.critical,
            a0=config.a,
            v_threshold=config.threshold,
            v_rest=0.0,
            v_reset=0.0,
            surrogate_function=spikes,
            detach_reset=config.detach_reset,
        )
        return cell

    def update_operations(self) -> Operations:
        # V (V - critical) times a / tau; take that and the current in (1/tau folds into the weights), compare
        return Operations(adds=4, multiplies=2)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SpikingJellyQIF)
