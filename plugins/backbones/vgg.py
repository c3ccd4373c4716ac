"""VGG: stages of 3x3 convolutions and pooling, then fully connected layers; the networks of TCJA-SNN.

Each convolution has batch norm and neurons behind it; fully connected layers have neurons, and dropout in front. With
``vote = v`` there are v neurons per output, and their mean is the output (population read-out).

TCJA's network for DVS128 Gesture is ``width = 128, stages = 5, convs = 1, growth = 1, hidden = 512, dropout = 0.5,
vote = 10, readout = spikes``. Its network for CIFAR10-DVS (64, 128, P, 256, 256, P, 512, 512, P, 512, 512, P, on
inputs pooled to 48x48) is ``width = 128, stages = 4, convs = 2, growth = 2, hidden = 0`` but for the first
convolution, which has 64 channels there and 128 here; its linear layer's bias is not here either.

Reference: Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR (2015); Zhu
et al., "TCJA-SNN", IEEE TNNLS (2024), and its released code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import nn

from spikefront.plugins import (
    AvgPool,
    Backbone,
    Chain,
    Counted,
    Dropout,
    Flatten,
    MaxPool,
    Operations,
    Signal,
    Sites,
    Synapse,
    hookimpl,
)
from spikefront.searchspace import PINNED, Choice, Float, Int, UsageError

MOST_CHANNELS: Final = 512
"""At which growth ends, as in all VGG networks."""


@dataclass(frozen=True, slots=True)
class VGGConfig:
    """Hyperparameters of the VGG."""

    width: Annotated[int, Int(4, 128, log=True)] = 16
    """Channels of the first stage."""
    stages: Annotated[int, Int(1, 5)] = 2
    """Stages of convolutions and pooling; maps of one pixel are not pooled further."""
    convs: Annotated[int, Int(1, 3)] = 1
    """Convolutions per stage."""
    growth: Annotated[int, Choice((1, 2))] = 2
    """Channels of a stage, relative to the one before; 512 at most."""
    hidden: Annotated[int, Choice((0, 32, 64, 128, 256, 512))] = 128
    """Neurons of the fully connected hidden layer; 0 for no such layer."""
    dropout: Annotated[float, Float(0.0, 0.7)] = 0.25
    """Share of spikes dropped, in training, in front of each fully connected layer."""
    vote: Annotated[int, Int(1, 20), PINNED] = 1
    """Neurons per output, whose mean is the output."""
    pool: Annotated[str, Choice(("max", "avg"))] = "max"
    """Pooling over 2x2 windows: the OR of the spikes, or their mean, which folds into the next synapse."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class Vote(Counted):
    """Mean over groups of neurons: ``(T, B, K * voters) -> (T, B, K)``."""

    role = "readout"

    def __init__(self, voters: int) -> None:
        super().__init__()
        self.voters = voters

    def forward(self, signal: Signal) -> Signal:
        return signal.current(signal.decoded().unflatten(2, (-1, self.voters)).mean(3))

    def operations(self, signal: Signal) -> Operations:
        """An addition per value that isn't 0; division by a constant folds into what reads the output."""
        return Operations(adds=int(torch.count_nonzero(signal.decoded())))


class VGG(Backbone):
    """Stages of 3x3 convolutions, then fully connected layers, with an optional population read-out."""

    name = "vgg"
    Config = VGGConfig
    config: VGGConfig
    chain = True

    def __init__(
        self, config: VGGConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        if len(input_shape) != 3:
            raise UsageError(f"backbone 'vgg' needs images (channels, height, width), not shape {input_shape}")
        convolutions, features = self._convolutions(input_shape, sites)
        layers = [*convolutions, Flatten()]
        if self.config.hidden:
            layers += self._connected(features, self.config.hidden)
            layers.append(sites(self.config.hidden, stage=self.config.stages))
            features = self.config.hidden
        layers += self._connected(features, outputs * self.config.vote)
        if self.config.readout == "spikes":
            layers.append(sites(outputs * self.config.vote, stage=self.config.stages))
        if self.config.vote > 1:
            layers.append(Vote(self.config.vote))
        self.layers = Chain(*layers)

    def _convolutions(self, shape: tuple[int, ...], sites: Sites) -> tuple[list[nn.Module], int]:
        """Return the layers up to the last pooling, and the number of values that leave them."""
        channels, height, width = shape
        layers: list[nn.Module] = []
        for stage in range(self.config.stages):
            out = min(MOST_CHANNELS, self.config.width * self.config.growth**stage)
            for conv in range(self.config.convs):
                layers.append(Synapse(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)))
                last = conv == self.config.convs - 1
                layers.append(sites(out, (height, width), stage=stage, last_of_stage=last))
                channels = out
            if min(height, width) > 1:
                layers.append(MaxPool(2) if self.config.pool == "max" else AvgPool(2))
                height, width = height // 2, width // 2
        return layers, channels * height * width

    def _connected(self, features: int, out: int) -> list[nn.Module]:
        return [Dropout(self.config.dropout), Synapse(nn.Linear(features, out, bias=False))]


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(VGG)
