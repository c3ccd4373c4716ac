"""Spike-element-wise residual network (SEW-ResNet): shortcuts carry spikes, joined to the block's spikes one by one.

A stem of 3x3 convolution, batch norm and neurons, stages of residual blocks, then the mean over the map and a linear
read-out. With S the spikes that enter a block and A those that it makes of them by convolution, batch norm and neurons,
twice, it emits::

    add     A + S           counts: 0, 1, 2, ...
    and     A S
    iand    (1 - A) S

Counts of neurons that fire several times in a step meet one by one, in the order of their slots: ``and`` is the smaller
of both, ``iand`` what S has more than A. Where the shape changes, S passes a 1x1 convolution, batch norm and neurons
first.

Reference: Fang, Yu, Chen, Huang, Masquelier & Tian, "Deep residual learning in spiking neural networks", NeurIPS
(2021). Its networks for ImageNet start with a 7x7 convolution of stride 2 and a pooling; ours start with a 3x3
convolution, for small images. Batch norms start as torch's do, so ``and`` blocks do not start as the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import torch
from torch import Tensor, nn

from spikefront.plugins import (
    Add,
    AvgPool,
    Backbone,
    Counted,
    Flatten,
    Kind,
    Operations,
    Signal,
    Sites,
    Synapse,
    hookimpl,
)
from spikefront.searchspace import PINNED, Choice, Int, UsageError

LAYOUTS: Final[dict[str, tuple[int, ...]]] = {
    "tiny": (1,),
    "small": (1, 1),
    "medium": (2, 2, 2),
    "resnet-18": (2, 2, 2, 2),
    "resnet-34": (3, 4, 6, 3),
}
"""Blocks of each stage, by the name of the layout."""


@dataclass(frozen=True, slots=True)
class SEWResNetConfig:
    """Hyperparameters of the spike-element-wise residual network."""

    width: Annotated[int, Int(4, 64, log=True)] = 16
    """Channels of the stem and the first stage; each further stage doubles them."""
    layout: Annotated[str, Choice(tuple(LAYOUTS))] = "small"
    """Blocks per stage: tiny 1; small 1, 1; medium 2, 2, 2; resnet-18 2, 2, 2, 2; resnet-34 3, 4, 6, 3. Further stages
    halve the map."""
    connect: Annotated[str, Choice(("add", "and", "iand"))] = "add"
    """How a block's spikes join those that enter it."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class Logic(Counted):
    """Junction of two edges by ``and`` or ``iand``, on spikes, whatever a coding says that each is worth.

    What passes is worth the product of both coefficients (``and``), or that of S (``iand``). A negative spike of A
    inhibits like a positive one; a gated spike passes, or inhibits, in part.
    """

    role = "residual"

    def __init__(self, connect: str) -> None:
        super().__init__()
        self.inhibits = connect == "iand"

    def forward(self, a: Signal, s: Signal) -> Signal:
        kinds = {a.kind, s.kind}
        if self._counts(a, s):
            met = (s.values - a.values).clamp_min(0) if self.inhibits else torch.minimum(a.values, s.values)
            return self._worth(a, s, met, Kind.COUNT)
        spikes = Kind.TERNARY if Kind.TERNARY in kinds else Kind.BINARY
        kind = spikes if kinds <= {Kind.BINARY, Kind.TERNARY} else Kind.ANALOG
        values = (1 - a.values.abs() if self.inhibits else a.values) * s.values
        return self._worth(a, s, values, kind)

    def _worth(self, a: Signal, s: Signal, values: Tensor, kind: Kind) -> Signal:
        joined = Signal(values, s.steps, kind, s.coefficient, max(a.delay, s.delay))
        return joined if self.inhibits or a.coefficient is None else joined.weighted(a.coefficient)

    @staticmethod
    def _counts(a: Signal, s: Signal) -> bool:
        return Kind.COUNT in {a.kind, s.kind} and {a.kind, s.kind} <= {Kind.BINARY, Kind.COUNT}

    def operations(self, a: Signal, s: Signal) -> Operations:
        """A comparison per value and step, a subtraction first for ``iand`` of counts; a product of analog values."""
        analog = a.kind is s.kind is Kind.ANALOG
        met = int(torch.count_nonzero(a.values * s.values)) if analog else 0
        subtracted = s.values.numel() if self.inhibits and self._counts(a, s) else 0
        return Operations(adds=s.values.numel() + subtracted, multiplies=met)


class Block(nn.Module):
    """3x3 convolution and neurons, twice, joined to the block's input.

    Args:
        channels: channels of the input.
        out: channels of the output.
        size: height and width of the output.
        stride: of the first convolution; 2 starts a stage.
        stage: number of the block's stage.
        ends: whether it is the last one of its stage.
        connect: how the two join.
        sites: makes the neurons.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        size: tuple[int, int],
        *,
        stride: int,
        stage: int,
        ends: bool,
        connect: str,
        sites: Sites,
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(channels, out, 3, stride),
            sites(out, size, stage=stage),
            _convolution(out, out, 3),
            sites(out, size, stage=stage, last_of_stage=ends),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels != out or stride > 1:
            self.shortcut = nn.Sequential(_convolution(channels, out, 1, stride), sites(out, size, stage=stage))
        self.connect = Add() if connect == "add" else Logic(connect)

    def forward(self, x: Signal) -> Signal:
        y: Signal = self.connect(self.residual(x), self.shortcut(x))
        return y


class SEWResNet(Backbone):
    """Residual network whose shortcuts carry spikes."""

    name = "sew-resnet"
    Config = SEWResNetConfig
    config: SEWResNetConfig
    convertible: ClassVar[bool] = False  # 'and' and 'iand' are not linear in what the sites emit
    sums_trains: ClassVar[bool] = True  # 'add' is

    def __init__(
        self, config: SEWResNetConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        if len(input_shape) != 3:
            raise UsageError(f"backbone 'sew-resnet' needs images (channels, height, width), not shape {input_shape}")
        channels, (height, width) = self.config.width, input_shape[1:]
        layers: list[nn.Module] = [_convolution(input_shape[0], channels, 3), sites(channels, (height, width))]
        layout = LAYOUTS[self.config.layout]
        for stage, blocks in enumerate(layout):
            out = self.config.width * 2**stage
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                height, width = -(-height // stride), -(-width // stride)
                layers.append(
                    Block(
                        channels,
                        out,
                        (height, width),
                        stride=stride,
                        stage=stage,
                        ends=block == blocks - 1,
                        connect=self.config.connect,
                        sites=sites,
                    )
                )
                channels = out
        layers += [AvgPool((height, width)), Flatten(), Synapse(nn.Linear(channels, outputs))]
        if self.config.readout == "spikes":
            layers.append(sites(outputs, stage=len(layout)))
        self.layers = nn.Sequential(*layers)


def _convolution(channels: int, out: int, kernel: int, stride: int = 1) -> Synapse:
    weight = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return Synapse(weight, nn.BatchNorm2d(out))


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(SEWResNet)
