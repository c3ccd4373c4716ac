"""Small convolutional network: stages of 3x3 convolution, batch norm, neurons and pooling, then a linear read-out.

Each stage doubles the channels and halves the map. ``readout = spikes`` puts spiking neurons behind the read-out too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from spikefront.plugins import AvgPool, Backbone, Chain, Flatten, MaxPool, Sites, Synapse, hookimpl
from spikefront.searchspace import PINNED, Choice, Int, UsageError


@dataclass(frozen=True, slots=True)
class ConvNetConfig:
    """Hyperparameters of the convolutional network."""

    width: Annotated[int, Int(4, 64, log=True)] = 16
    """Channels of the first stage; each further stage doubles them."""
    stages: Annotated[int, Int(1, 4)] = 2
    """Stages of convolution, neurons and pooling; maps of one pixel are not pooled further."""
    pool: Annotated[str, Choice(("max", "avg"))] = "max"
    """Pooling over 2x2 windows: the OR of the spikes, or their mean, which folds into the next synapse."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class ConvNet(Backbone):
    """Convolution, batch norm, neurons and pooling per stage; linear read-out."""

    name = "convnet"
    Config = ConvNetConfig
    config: ConvNetConfig
    chain = True

    def __init__(
        self, config: ConvNetConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        if len(input_shape) != 3:
            raise UsageError(f"backbone 'convnet' needs images (channels, height, width), not shape {input_shape}")
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        for stage in range(self.config.stages):
            out = self.config.width * 2**stage
            layers.append(Synapse(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)))
            layers.append(sites(out, (height, width), stage=stage, last_of_stage=True))
            if min(height, width) > 1:
                layers.append(MaxPool(2) if self.config.pool == "max" else AvgPool(2))
                height, width = height // 2, width // 2
            channels = out
        layers += [Flatten(), Synapse(nn.Linear(channels * height * width, outputs))]
        if self.config.readout == "spikes":
            layers.append(sites(outputs, stage=self.config.stages))
        self.layers = Chain(*layers)


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(ConvNet)
