"""Multi-layer perceptron: fully connected layers with batch norm, each followed by spiking neurons.

The read-out is a linear layer; ``readout = spikes`` puts spiking neurons behind it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Backbone, Sites, hookimpl
from spikefront.plugins.bases.connected import connected
from spikefront.searchspace import PINNED, Choice, Int


@dataclass(frozen=True, slots=True)
class MLPConfig:
    """Hyperparameters of the multi-layer perceptron."""

    width: Annotated[int, Int(16, 512, log=True)] = 128
    """Neurons in each hidden layer."""
    depth: Annotated[int, Int(1, 3)] = 1
    """Hidden layers."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class MLP(Backbone):
    """Fully connected hidden layers of one width."""

    name = "mlp"
    Config = MLPConfig
    config: MLPConfig
    layouts = frozenset({"images", "features", "sequences"})
    chain = True

    def __init__(
        self, config: MLPConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        self.layers = connected(self.config, input_shape, outputs, sites)


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(MLP)
