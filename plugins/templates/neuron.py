"""Leaky integrate-and-fire neuron: ``H[t] = (1 - leak) V[t-1] + X[t]``, and a spike where H reaches the threshold.

After a spike V is H minus the threshold. Write here what yours does: the idea, the equation, and the paper.

Reference: Gerstner & Kistler, "Spiking neuron models", Cambridge University Press (2002), chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Neuron, Operations, hookimpl, integrate_and_fire, product_by


@dataclass(frozen=True, slots=True)
class MyNeuronConfig:
    """Hyperparameters of my-neuron."""

    leak: Annotated[float, Float(0.05, 0.95)] = 0.5
    """Share of the membrane potential that is lost in a step."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires."""


class MyNeuron(Neuron):
    """Leaky integrator whose spike takes the threshold from its potential."""

    name = "my-neuron"
    Config = MyNeuronConfig
    config: MyNeuronConfig

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return integrate_and_fire(
            current,
            steps,
            leak=self.config.leak,
            threshold=self.config.threshold,
            surrogate=self.surrogate,
            hard_reset=False,
        )

    def update_operations(self) -> Operations:
        """The leak, the sum with the current, and a comparison."""
        return product_by(1 - self.config.leak) + Operations(adds=2)

    def spike_operations(self) -> Operations:
        """The subtraction of the threshold."""
        return Operations(adds=1)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(MyNeuron)
