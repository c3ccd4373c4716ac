"""Phase neuron: an IF neuron whose threshold and spikes halve from step to step, within periods of K steps.

``Pi(t) = 2^-(1 + t mod K)`` for t = 0, 1, ... ``H[t] = V[t-1] + X[t]``; it fires where H reaches ``threshold Pi(t)``,
then V loses as much (soft reset). A spike is worth ``Pi(t)``: the spikes of a period are the digits of a binary number.
The current must be weighted alike, as that of another phase neuron is.

Reference: Kim, Kim, Huh, Lee & Choi, "Deep neural networks with weighted spikes", Neurocomputing 311 (2018);
reconstructed from descriptions of it. Where T is less than K, the period is cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Neuron, Operations, hookimpl
from spikefront.plugins.network.membrane import integrate_and_fire, potentials
from spikefront.searchspace import PINNED, Choice, Float, Int


@dataclass(frozen=True, slots=True)
class PhaseConfig:
    """Hyperparameters of the phase neuron."""

    period: Annotated[int, Int(2, 8)] = 8
    """Steps K of a period, and bits of what its spikes spell."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which a neuron would fire if its spikes were worth 1."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""


def phase_weights(steps: int, period: int) -> list[float]:
    """Return what a spike of each step is worth, ``2^-(1 + t mod K)``.

    Args:
        steps: number of time steps T.
        period: steps K of a period.

    Example:
        >>> phase_weights(5, period=3)
        [0.5, 0.25, 0.125, 0.5, 0.25]
    """
    return [2.0 ** -(1 + t % period) for t in range(steps)]


class Phase(Neuron):
    """Integrator whose spikes are binary digits."""

    name = "phase"
    Config = PhaseConfig
    config: PhaseConfig
    inputs = frozenset({"static", "events"})  # its numbers are of few steps

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return integrate_and_fire(
            current,
            steps,
            leak=0.0,
            threshold=[self.config.threshold * weight for weight in phase_weights(steps, self.config.period)],
            surrogate=self.surrogate,
            hard_reset=False,
            detach_reset=self.config.detach_reset,
        )

    def potentials(self, current: Tensor, spikes: Tensor) -> Iterator[Tensor]:
        steps = phase_weights(len(spikes), self.config.period)
        thresholds = [self.config.threshold * weight for weight in steps]
        return potentials(current, spikes, leak=0.0, threshold=thresholds, hard_reset=False)

    def step_weights(self, steps: int, like: Tensor) -> Tensor | None:
        return like.new_tensor(phase_weights(steps, self.config.period))

    def update_operations(self) -> Operations:
        return Operations(adds=2)  # take the current in, compare; all neurons share the threshold's shift

    def spike_operations(self) -> Operations:
        return Operations(adds=1)  # soft reset


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(Phase)
