"""Integrate-and-fire (IF) neuron: sums its current and never forgets.

``H[t] = V[t-1] + X[t]``; it fires where H reaches the threshold, then V is set to 0 (hard reset) or loses the threshold
(soft). It may start above rest: from half the threshold, the spike count is the rounded rather than the floored sum.

Reference: Lapicque (1907); discrete form and conventions as SpikingJelly's IFNode (Fang et al., Science Advances 9,
2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Neuron, Operations, hookimpl
from spikefront.plugins.network.membrane import integrate_and_fire, potentials
from spikefront.searchspace import PINNED, Choice, Float


@dataclass(frozen=True, slots=True)
class IFConfig:
    """Hyperparameters of the IF neuron."""

    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or subtract the threshold."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""
    start: Annotated[float, Float(0.0, 0.9), PINNED] = 0.0
    """Membrane potential before the first step, as a share of the threshold."""


class IF(Neuron):
    """Perfect integrator with a threshold."""

    name = "if"
    Config = IFConfig
    config: IFConfig

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return self.pooled(current, steps, 0)

    def pooled(self, current: Tensor, steps: int, size: int) -> Tensor:
        return integrate_and_fire(
            current,
            steps,
            leak=0.0,
            threshold=self.config.threshold,
            surrogate=self.surrogate,
            hard_reset=self.config.reset == "hard",
            detach_reset=self.config.detach_reset,
            start=self.config.start * self.config.threshold,
            pool=size,
        )

    def potentials(self, current: Tensor, spikes: Tensor) -> Iterator[Tensor]:
        return potentials(
            current,
            spikes,
            leak=0.0,
            threshold=self.config.threshold,
            hard_reset=self.config.reset == "hard",
            start=self.config.start * self.config.threshold,
        )

    def update_operations(self) -> Operations:
        return Operations(adds=2)  # take the current in, compare

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "soft" else 0)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(IF)
