"""Leaky integrate-and-fire (LIF) neuron: its membrane potential decays with time constant tau.

``H[t] = V[t-1] + (X[t] - V[t-1]) / tau`` with ``decay_input``, ``H[t] = (1 - 1/tau) V[t-1] + X[t]`` without; it fires
where H reaches the threshold, then V is set to 0 (hard reset) or loses the threshold (soft).

Reference: discrete form and conventions as SpikingJelly's LIFNode (Fang et al., Science Advances 9, 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Neuron, Operations, hookimpl
from spikefront.plugins.network.membrane import integrate_and_fire
from spikefront.searchspace import PINNED, Choice, Float


@dataclass(frozen=True, slots=True)
class LIFConfig:
    """Hyperparameters of the LIF neuron."""

    tau: Annotated[float, Float(1.1, 10.0, log=True)] = 2.0
    """Membrane time constant, in time steps."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or subtract the threshold."""
    decay_input: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the current is divided by tau too; it changes the gain by tau."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""


class LIF(Neuron):
    """Leaky integrator with a threshold."""

    name = "lif"
    Config = LIFConfig
    config: LIFConfig

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
        )

    def update_operations(self) -> Operations:
        return Operations(adds=2, multiplies=1)  # leak, take the current in (1/tau folds into the weights), compare

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "soft" else 0)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(LIF)
