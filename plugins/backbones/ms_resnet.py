"""Membrane-shortcut residual network (MS-ResNet): shortcuts carry currents, and neurons stand in front of weights.

A stem of 3x3 convolution, batch norm and neurons, stages of residual blocks, then neurons, the mean over the map and
a linear read-out. A block adds to its input what it makes of it::

    y = W2 neurons(W1 neurons(x)) + x        W: 3x3 convolution and batch norm

so its sums are currents that no neuron has cut off. Where the shape changes, the shortcut is a 1x1 convolution with
batch norm of x. The first block's x are the spikes of the stem.

Reference: Hu, Deng, Wu, Yao & Li, "Advancing spiking neural networks towards deep residual learning", IEEE TNNLS
(2024), in the form of the CIFAR code of Qiu et al., "Gated attention coding", AAAI (2024): ``layout = resnet-18`` and
``width = 64`` are their network. Weights start as torch draws them, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from torch import nn

from spikefront.plugins import Add, AvgPool, Backbone, Flatten, Signal, Sites, Synapse, hookimpl
from spikefront.searchspace import PINNED, Choice, Int, UsageError

LAYOUTS: Final[dict[str, tuple[int, ...]]] = {
    "tiny": (1,),
    "small": (1, 1),
    "medium": (2, 2, 2),
    "resnet-18": (3, 3, 2),
}
"""Blocks of each stage, by the name of the layout."""


@dataclass(frozen=True, slots=True)
class MSResNetConfig:
    """Hyperparameters of the membrane-shortcut residual network."""

    width: Annotated[int, Int(4, 64, log=True)] = 8
    """Channels of the stem; the first stage has twice as many, and each further stage doubles them."""
    layout: Annotated[str, Choice(tuple(LAYOUTS))] = "small"
    """Blocks per stage: tiny 1; small 1, 1; medium 2, 2, 2; resnet-18 3, 3, 2. Further stages halve the map."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class Block(nn.Module):
    """Neurons and 3x3 convolution, twice, plus the block's input.

    Args:
        channels: channels of the input.
        out: channels of the output.
        size: height and width of the input.
        stride: of the first convolution; 2 starts a stage.
        stage: number of the block's stage.
        sites: makes the neurons.
    """

    def __init__(
        self, channels: int, out: int, size: tuple[int, int], *, stride: int, stage: int, sites: Sites
    ) -> None:
        super().__init__()
        # neurons in front of a stride read the sum in which the stage before ends, on maps of its size
        starts = stride > 1
        self.residual = nn.Sequential(
            sites(channels, size, stage=stage - starts, last_of_stage=starts),
            _convolution(channels, out, 3, stride),
            sites(out, _strided(size, stride), stage=stage),
            _convolution(out, out, 3),
        )
        same = channels == out and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(channels, out, 1, stride)
        self.add = Add()

    def forward(self, x: Signal) -> Signal:
        y: Signal = self.add(self.residual(x), self.shortcut(x))
        return y


class MSResNet(Backbone):
    """Residual network whose shortcuts carry currents."""

    name = "ms-resnet"
    Config = MSResNetConfig
    config: MSResNetConfig

    def __init__(
        self, config: MSResNetConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        if len(input_shape) != 3:
            raise UsageError(f"backbone 'ms-resnet' needs images (channels, height, width), not shape {input_shape}")
        channels, size = self.config.width, input_shape[1:]
        layers: list[nn.Module] = [_convolution(input_shape[0], channels, 3), sites(channels, size)]
        layout = LAYOUTS[self.config.layout]
        for stage, blocks in enumerate(layout):
            out = self.config.width * 2 ** (stage + 1)
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                layers.append(Block(channels, out, size, stride=stride, stage=stage, sites=sites))
                channels, size = out, _strided(size, stride)
        layers.append(sites(channels, size, stage=len(layout) - 1, last_of_stage=True))
        layers += [AvgPool(size), Flatten(), Synapse(nn.Linear(channels, outputs))]
        if self.config.readout == "spikes":
            layers.append(sites(outputs, stage=len(layout)))
        self.layers = nn.Sequential(*layers)


def _convolution(channels: int, out: int, kernel: int, stride: int = 1) -> Synapse:
    weight = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return Synapse(weight, nn.BatchNorm2d(out))


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(MSResNet)
