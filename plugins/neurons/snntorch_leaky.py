"""snnTorch's ``Leaky`` as a neuron: a leaky integrator whose reset comes one step later.

With U the membrane potential, R = 1 where U[t-1] is above the threshold, and beta the share that a step leaves::

    U[t] = beta U[t-1] + X[t] - R threshold     reset = subtract
    U[t] = beta (1 - R) U[t-1] + X[t]           reset = zero
    S[t] = 1 if U[t] > threshold else 0

``zero`` fires as ``lif`` does with ``reset=hard``, ``decay_input=false`` and ``tau = 1 / (1 - beta)``. ``subtract``
takes the threshold off after the leak, which is not the soft reset of ``lif``; with ``reset_delay=false`` it is taken
off before, and where no potential reaches twice the threshold spikes are those of ``lif``.

Reference: Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proceedings of the
IEEE 111 (2023). Computed by snnTorch itself, with the surrogate gradient that is searched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from spikefront.plugins import PINNED, Choice, Float, Neuron, Operations, Snap, hookimpl, product_by
from spikefront.plugins.adapters.neurons import SnnTorchNeuron, Spikes


@dataclass(frozen=True, slots=True)
class SnnTorchLeakyConfig:
    """Hyperparameters of snnTorch's ``Leaky``."""

    beta: Annotated[float, Float(0.1, 0.99), Snap((0.5, 0.75, 0.875))] = 0.5
    """Share of the membrane potential that a step leaves; 1 minus a power of two leaks by a shift."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential above which it fires."""
    reset: Annotated[str, Choice(("subtract", "zero"))] = "subtract"
    """After a spike: subtract the threshold, or set the membrane potential to 0."""
    reset_delay: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the reset comes with the next step, rather than at once; then the gradient does not ignore it."""


class SnnTorchLeaky(SnnTorchNeuron):
    """Leaky integrate-and-fire neuron of snnTorch (`Leaky`)."""

    name = "snntorch-leaky"
    Config = SnnTorchLeakyConfig
    config: SnnTorchLeakyConfig
    folds_bias = True

    def build(self, spikes: Spikes) -> nn.Module:
        import snntorch

        config = self.config
        cell: nn.Module = snntorch.Leaky(
            config.beta,
            threshold=config.threshold,
            spike_grad=spikes,
            reset_mechanism=config.reset,
            reset_delay=config.reset_delay,
        )
        return cell

    def update_operations(self) -> Operations:
        return product_by(self.config.beta) + Operations(adds=2)  # leak, take the current in, compare

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "subtract" else 0)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SnnTorchLeaky)
