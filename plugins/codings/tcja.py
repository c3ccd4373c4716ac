"""Temporal-channel joint attention (TCJA): a layer's spikes are scaled by a gate over time steps and channels.

With X the spikes ``(T, B, C, H, W)`` and Z their mean over space ``(T, B, C)``, per sample::

    A[t, c] = sum over n, m of W[c, n, m] Z[t + m - off, n]        along time, from all channels; W: C x C x k_time
    D[t, c] = sum over n, m of E[t, n, m] Z[n, c + m - off]        along channels, from all steps; E: T x T x k_channel
    Y[t, c] = sigmoid(A[t, c] D[t, c]) X[t, c]

zero-padded, ``off = (k - 1) // 2``, without biases. D mixes all steps, so the gate of the first one waits for the last:
the layers behind start when the window ends.

Reference: Zhu et al., "TCJA-SNN: Temporal-channel joint attention for spiking neural networks", IEEE TNNLS (2024;
arXiv 2206.10177), and its released code, which this follows. Its argument ``kernel_size_c`` is our ``k_time`` (the
paper's K_T) and ``kernel_size_t`` our ``k_channel`` (K_C). T, which fixes the shape of E, is an argument here.
``published`` are the settings of ``dvs128.py`` at ridgerchu/TCJA 5f21162 under the command of its README, in place of
the paper's where these differ: the loss is that of rates, not of single steps. What no hyperparameter here can say is
in docs/tcja.md, as is why its networks for the other data sets are none of these backbones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add, mul
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins import Between, Coding, Kind, Operations, Signal, SiteInfo, hookimpl
from spikefront.plugins.bases.attention import AttentionConfig, Gate
from spikefront.searchspace import Choice, Domain, Int, UsageError, Value, When

_K_TIME: Final = (1, 2, 3, 4)

_NEURON: Final[Mapping[str, Value]] = {
    "neuron": "lif",
    "neuron.lif.tau": 2.0,
    "neuron.lif.threshold": 1.0,
    "neuron.lif.reset": "hard",
    "neuron.lif.decay_input": True,
    "neuron.lif.detach_reset": True,
    "training.surrogate": "atan",
    "training.surrogate.atan.alpha": 2.0,
}
_DVS128: Final[Mapping[str, Value]] = {
    "task": "dvs128-gesture",
    "task.dvs128-gesture.binning": "count",
    "task.dvs128-gesture.pool": 1,
    "steps": 20,
    **_NEURON,
    "coding.tcja.fusion": "product",
    "coding.tcja.k_time": 4,
    "coding.tcja.k_channel": 4,
    "coding.tcja.positions": "last-two",
    "coding.tcja.regulariser": "none",
    "backbone": "vgg",
    "backbone.vgg.width": 128,
    "backbone.vgg.stages": 5,
    "backbone.vgg.convs": 1,
    "backbone.vgg.growth": 1,
    "backbone.vgg.hidden": 512,
    "backbone.vgg.dropout": 0.5,
    "backbone.vgg.vote": 10,
    "backbone.vgg.pool": "max",
    "backbone.vgg.readout": "spikes",
    "training.optimizer": "adam",
    "training.optimizer.adam.lr": 1e-3,
    "training.optimizer.adam.weight_decay": 0.0,
    "training.loss": "rate-mse",
    "training.epochs": 1024,
    "training.batch": 16,
    "training.subset": 0,
    "training.decay": "cosine-by-epoch",
    "training.flip": False,
    "training.crop": 0,
    "training.cutout": 0,
    "training.mix": "none",
    "training.drop_last": True,
    "training.precision": "fp32",
}
"""The released network and training for DVS128 Gesture."""


@dataclass(frozen=True, slots=True)
class TCJAConfig(AttentionConfig):
    """Hyperparameters of temporal-channel joint attention."""

    fusion: Annotated[str, Choice(("product", "sum", "time", "channel"))] = "product"
    """What goes into the sigmoid: both convolutions, multiplied or added, or one of them alone."""
    k_time: Annotated[int, Choice(_K_TIME), When("fusion", ("product", "sum", "time"))] = 2
    """Kernel along time, below T."""
    k_channel: Annotated[int, Choice((1, 2, 3, 4, 5, 7)), When("fusion", ("product", "sum", "channel"))] = 2
    """Kernel along channels; a layer of C channels takes at most C - 1 (and at least 1)."""
    positions: Annotated[str, Choice(("last-two", "last", "first", "all"))] = "last-two"
    """At the end of which stages it acts."""


class SameConv1d(nn.Conv1d):
    """A convolution without bias that keeps the length; an even kernel's odd zero goes behind."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, bias=False)
        self.size, self.front = kernel, (kernel - 1) // 2

    def forward(self, input: Tensor) -> Tensor:
        # torch's padding="same" pads alike, but warns about even kernels
        return super().forward(F.pad(input, (self.front, self.size - 1 - self.front)))

    def multiplies(self, length: int) -> int:
        """Return the multiplications of one sample of ``length`` positions; none for padding."""
        valid = sum(max(0, length - abs(tap - self.front)) for tap in range(self.size))
        return self.in_channels * self.out_channels * valid


class JointAttention(Gate):
    """The gate behind one layer. Fully connected neurons are maps of one pixel.

    Attributes:
        lag: how many steps the first gate waits for input.
    """

    def __init__(self, config: TCJAConfig, steps: int, channels: int) -> None:
        super().__init__(config)
        self.fusion = config.fusion
        k_channel = max(1, min(config.k_channel, channels - 1))
        self.along_time = None if config.fusion == "channel" else SameConv1d(channels, config.k_time)
        self.along_channels = None if config.fusion == "time" else SameConv1d(steps, k_channel)
        self.lag = config.k_time // 2 if config.fusion == "time" else steps - 1

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        gate = self.gate(spikes)
        self.attend(gate.mean((1, 2)))
        # spikes first: the layout of the product is theirs
        values = spikes.values * gate.view(*gate.shape, *[1] * (spikes.values.dim() - 3))
        return replace(spikes, values=values, kind=Kind.ANALOG, delay=spikes.delay + self.lag)

    def gate(self, spikes: Signal) -> Tensor:
        """Return the gate of each step and channel in (0, 1), ``(T, B, C)``."""
        z = spikes.with_values(_maps(spikes.values).mean(3)).decoded()
        parts: list[Tensor] = []
        if self.along_time is not None:
            parts.append(self.along_time(z.permute(1, 2, 0)).permute(2, 0, 1))  # as (B, C, T)
        if self.along_channels is not None:
            parts.append(self.along_channels(z.transpose(0, 1)).transpose(0, 1))  # as (B, T, C)
        return reduce(add if self.fusion == "sum" else mul, parts).sigmoid()

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        """An addition per spike for the mean, whose division folds into the weights; convolutions; fusion and sigmoid.

        On hardware the sigmoid is a table of line segments: a multiplication and an addition.
        """
        steps, samples, channels = spikes.values.shape[:3]
        gates, fired = steps * samples * channels, int(torch.count_nonzero(spikes.values))
        macs = 0 if self.along_time is None else samples * self.along_time.multiplies(steps)
        macs += 0 if self.along_channels is None else samples * self.along_channels.multiplies(channels)
        weighted = 0 if spikes.coefficient is None else gates
        products, sums = gates * (self.fusion == "product"), gates * (self.fusion == "sum")
        return Operations(adds=fired + macs + sums + gates, multiplies=weighted + macs + products + gates + fired)


def _maps(values: Tensor) -> Tensor:
    return values.flatten(3) if values.dim() == 5 else values.unsqueeze(3)


class TCJA(Coding):
    """Direct coding with a gate over time and channels behind some stages."""

    name = "tcja"
    Config = TCJAConfig
    config: TCJAConfig
    inputs = frozenset({"static", "events"})
    source = "Zhu et al., IEEE TNNLS 2024; code ridgerchu/TCJA at 5f21162"
    published = (_DVS128,)
    starting_points = ({**_NEURON, "steps": 8, "backbone": "vgg", "coding.tcja.k_time": 4, "coding.tcja.k_channel": 4},)
    open_steps = Int(3, 20, log=True)
    step_range = Int(3, 16, log=True)  # below 3, k_time < T leaves a kernel of one step, which sees no time

    def __init__(self, config: TCJAConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        if self.config.k_time >= steps:
            raise UsageError(f"coding.tcja.k_time: {self.config.k_time} is not below the {steps} time steps")

    @classmethod
    def domains(cls, steps: int) -> Mapping[str, Domain]:
        return {"k_time": Choice(tuple(kernel for kernel in _K_TIME if kernel < steps))}

    def cuts(self) -> tuple[int, ...]:
        """Return no steps: the gate of the first one mixes all."""
        return ()

    def between(self, site: SiteInfo) -> Between | None:
        stages = {
            "last-two": range(site.stages - 2, site.stages),
            "last": range(site.stages - 1, site.stages),
            "first": range(1),
            "all": range(site.stages),
        }
        if not site.last_of_stage or site.stage not in stages[self.config.positions]:
            return None
        return JointAttention(self.config, self.steps, site.channels)


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(TCJA)
