"""SpikingJelly's ``LIFNode`` as a neuron: a leaky integrator with a threshold.

Its equations are those of ``lif``, whose spikes are the same on equal settings; ``lif`` runs as machine code, and this
one step by step in Python. It is here to be searched beside others, and to be compared.

Reference: Fang et al., "SpikingJelly: an open-source machine learning infrastructure platform for spike-based
intelligence", Science Advances 9 (2023). Computed by SpikingJelly itself, with the surrogate gradient that is searched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from spikefront.plugins import LeakyConfig, Neuron, Operations, hookimpl, product_by
from spikefront.plugins.adapters.neurons import Spikes, SpikingJellyNeuron


@dataclass(frozen=True, slots=True)
class SpikingJellyLIFConfig(LeakyConfig):
    """Hyperparameters of SpikingJelly's ``LIFNode``: those of a leaky integrator."""


class SpikingJellyLIF(SpikingJellyNeuron):
    """Leaky integrate-and-fire neuron of SpikingJelly (`LIFNode`)."""

    name = "spikingjelly-lif"
    Config = SpikingJellyLIFConfig
    config: SpikingJellyLIFConfig
    folds_bias = True

    def build(self, spikes: Spikes) -> nn.Module:
        from spikingjelly.activation_based import neuron

        config = self.config
        cell: nn.Module = neuron.LIFNode(
            config.tau,
            config.decay_input,
            config.threshold,
            0.0 if config.reset == "hard" else None,
            spikes,
            config.detach_reset,
        )
        return cell

    def update_operations(self) -> Operations:
        # leak, take the current in (1/tau folds into the weights), compare
        return product_by(1 - 1 / self.config.tau) + Operations(adds=2)

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "soft" else 0)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SpikingJellyLIF)
