"""snnTorch's ``Synaptic`` as a neuron: a leaky integrator of a current that leaks too (second order, CuBa LIF).

With I the synaptic current, U the membrane potential, and R = 1 where U[t-1] is above the threshold::

    I[t] = alpha I[t-1] + X[t]
    U[t] = beta U[t-1] + I[t] - R threshold     reset = subtract
    U[t] = (1 - R) (beta U[t-1] + I[t])         reset = zero: a spike is followed by a step at rest
    S[t] = 1 if U[t] > threshold else 0

Reference: Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proceedings of the
IEEE 111 (2023). Computed by snnTorch itself, with the surrogate gradient that is searched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from spikefront.plugins import Choice, Float, Neuron, Operations, Snap, hookimpl, product_by
from spikefront.plugins.adapters.neurons import SnnTorchNeuron, Spikes


@dataclass(frozen=True, slots=True)
class SnnTorchSynapticConfig:
    """Hyperparameters of snnTorch's ``Synaptic``."""

    alpha: Annotated[float, Float(0.1, 0.99), Snap((0.5, 0.75, 0.875))] = 0.5
    """Share of the synaptic current that a step leaves."""
    beta: Annotated[float, Float(0.1, 0.99), Snap((0.5, 0.75, 0.875))] = 0.5
    """Share of the membrane potential that a step leaves."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential above which it fires."""
    reset: Annotated[str, Choice(("subtract", "zero"))] = "subtract"
    """After a spike: subtract the threshold, or set the membrane potential to 0."""


class SnnTorchSynaptic(SnnTorchNeuron):
    """Leaky integrator of a leaking current, of snnTorch (`Synaptic`)."""

    name = "snntorch-synaptic"
    Config = SnnTorchSynapticConfig
    config: SnnTorchSynapticConfig
    states = 2

    def build(self, spikes: Spikes) -> nn.Module:
        import snntorch

        config = self.config
        cell: nn.Module = snntorch.Synaptic(
            config.alpha,
            config.beta,
            threshold=config.threshold,
            spike_grad=spikes,
            reset_mechanism=config.reset,
        )
        return cell

    def update_operations(self) -> Operations:
        # both leaks, take the input and the current in, compare
        return product_by(self.config.alpha) + product_by(self.config.beta) + Operations(adds=3)

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "subtract" else 0)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SnnTorchSynaptic)
