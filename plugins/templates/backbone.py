"""Funnel: fully connected layers with batch norm and spiking neurons, each half as wide as the one before.

The read-out is a linear layer. Write here what yours does: the idea, and the paper.

Reference: Rosenblatt, "The perceptron", Psychological Review 65 (1958), for layers of threshold units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from spikefront.plugins import Backbone, Flatten, Int, Sites, Synapse, hookimpl


@dataclass(frozen=True, slots=True)
class MyBackboneConfig:
    """Hyperparameters of my-backbone."""

    width: Annotated[int, Int(16, 512, log=True)] = 128
    """Neurons in the first hidden layer."""
    depth: Annotated[int, Int(1, 3)] = 2
    """Hidden layers."""


class MyBackbone(Backbone):
    """Fully connected hidden layers, each half as wide as the one before."""

    name = "my-backbone"
    Config = MyBackboneConfig
    config: MyBackboneConfig
    layouts = frozenset({"images", "features"})
    chain = True

    def __init__(
        self, config: MyBackboneConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        layers: list[nn.Module] = [Flatten()]
        before = math.prod(input_shape)
        for depth in range(self.config.depth):
            width = max(self.config.width >> depth, 1)
            layers += [
                Synapse(nn.Linear(before, width, bias=False), nn.BatchNorm1d(width)),
                sites(width, stage=depth, last_of_stage=True),
            ]
            before = width
        self.layers = nn.Sequential(*layers, Synapse(nn.Linear(before, outputs)))


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(MyBackbone)
