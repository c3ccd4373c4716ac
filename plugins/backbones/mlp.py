"""Multi-layer perceptron: fully connected layers with batch norm, each followed by spiking neurons.

The read-out is a linear layer; ``readout = spikes`` puts spiking neurons behind it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from spikefront.plugins import Backbone, Flatten, Sites, Synapse, hookimpl
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
        layers: list[nn.Module] = [Flatten()]
        features = math.prod(input_shape)
        width = self.config.width
        for depth in range(self.config.depth):
            layers.append(Synapse(nn.Linear(features, width, bias=False), nn.BatchNorm1d(width)))
            layers.append(sites(width, last_of_stage=depth == self.config.depth - 1))
            features = width
        layers.append(Synapse(nn.Linear(features, outputs)))
        if self.config.readout == "spikes":
            layers.append(sites(outputs, stage=1))
        self.layers = nn.Sequential(*layers)


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(MLP)
