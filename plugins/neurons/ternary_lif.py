"""Ternary LIF neuron: a LIF neuron that also fires negatively, at minus the threshold.

The membrane potential H is that of ``lif``; ``S[t] = 1`` where H reaches the threshold, -1 where it falls to minus the
threshold. Then V is set to 0 (hard reset) or loses ``threshold S[t]`` (soft).

Reference: Guo et al., "Ternary spike: learning ternary spikes for spiking neural networks", AAAI 2024, whose reset is
hard; conventions as SpikingJelly's TernaryLIFNode. Guo et al. don't divide the current by tau (``decay_input`` off); we
do by default, as in ``lif``, so that the two differ in the negative spikes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Kind, Neuron, Operations, hookimpl
from spikefront.plugins.network.membrane import integrate_and_fire
from spikefront.searchspace import PINNED, Choice, Float


@dataclass(frozen=True, slots=True)
class TernaryLIFConfig:
    """Hyperparameters of the ternary LIF neuron."""

    tau: Annotated[float, Float(1.1, 10.0, log=True)] = 2.0
    """Membrane time constant, in time steps."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires; at minus this it fires negatively."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or move it towards 0 by the threshold."""
    decay_input: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the current is divided by tau too; it changes the gain by tau."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""


class TernaryLIF(Neuron):
    """Leaky integrator that fires at the threshold and, negatively, at minus the threshold."""

    name = "ternary-lif"
    Config = TernaryLIFConfig
    config: TernaryLIFConfig
    kind = Kind.TERNARY

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return integrate_and_fire(
            current,
            steps,
            leak=1 / self.config.tau,
            threshold=self.config.threshold,
            surrogate=self.surrogate,
            hard_reset=self.config.reset == "hard",
            decay_input=self.config.decay_input,
            detach_reset=self.config.detach_reset,
            ternary=True,
        )

    def update_operations(self) -> Operations:
        # leak, take the current in (1/tau folds into the weights), compare twice
        return Operations(adds=3, multiplies=1)

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "soft" else 0)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(TernaryLIF)
