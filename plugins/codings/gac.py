"""Gated attention coding (GAC): the first layer's spikes pass a gate made of the current that drove them.

With F the current ``(T, B, C, H, W)`` and S the spikes::

    A_T  = M2 ReLU(M1 mean F) + M2 ReLU(M1 max F)    a number per step and sample; M1: T -> T/r, M2: T/r -> T
    A_SC = K2 * ReLU(K1 * F)                         k x k convolutions, the same at every step
    Y    = sigmoid(A_T A_SC) S                       an analog value in (0, 1) wherever there was a spike

No weights have biases, and the two parts no sigmoid of their own. A static image gives a constant F, so A_SC is
computed once and A_T is ``|mean F| p + |max F| q`` with p and q set by the signs alone: what varies over time is
learnt, not read off the image.

Reference: Qiu et al., "Gated attention coding for training high-performance and efficient spiking neural networks",
AAAI (2024; arXiv 2308.06582), and its released code (bollossom/GAC at ed8130a), which this follows; T is an argument
here, where they fix it. ``published`` are the settings of that code for CIFAR, in place of the paper's where these
differ: its neuron decays by 0.5 and fires at 1, where the appendix is reported to say 0.25 and 0.5. What no
hyperparameter here can say is in docs/gac.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins import Between, Coding, ContractError, Kind, Operations, Signal, SiteInfo, Synapse, hookimpl
from spikefront.plugins.bases.attention import AttentionConfig, Gate
from spikefront.plugins.network.operations import product_by
from spikefront.searchspace import Choice, Domain, Int, UsageError, Value

_RATIOS: Final = (1, 2, 4)

_RELEASED_NEURON: Final[Mapping[str, Value]] = {
    "neuron": "lif",
    "neuron.lif.tau": 2.0,  # their decay of 0.5
    "neuron.lif.threshold": 1.0,
    "neuron.lif.reset": "hard",
    "neuron.lif.decay_input": False,
    "neuron.lif.detach_reset": False,
    "training.surrogate": "triangle",
    "training.surrogate.triangle.gamma": 1.0,
}
_RELEASED_SYSTEM: Final[Mapping[str, Value]] = {
    **_RELEASED_NEURON,
    "steps": 6,
    "coding.gac.kernel_size": 4,
    "coding.gac.time_ratio": 2,
    "coding.gac.channel_ratio": 1,
    "coding.gac.regulariser": "none",
    "backbone": "ms-resnet",
    "backbone.ms-resnet.width": 64,
    "backbone.ms-resnet.layout": "resnet-18",
    "backbone.ms-resnet.readout": "current",
}
_RELEASED_TRAINING: Final[Mapping[str, Value]] = {
    "training.optimizer": "sgd",
    "training.optimizer.sgd.lr": 0.1,
    "training.optimizer.sgd.momentum": 0.9,
    "training.optimizer.sgd.weight_decay": 5e-5,
    "training.optimizer.sgd.decay_all": True,
    "training.loss": "cross-entropy",
    "training.loss.cross-entropy.smoothing": 0.0,
    "training.epochs": 250,
    "training.batch": 64,
    "training.subset": 0,
    "training.decay": "cosine-by-epoch",
    "training.flip": True,
    "training.crop": 4,
    "training.cutout": 0,
    "training.mix": "cutmix",
    "training.mix_probability": 0.5,
    "training.mix_alpha": 1.0,
    "training.mix_by": "epoch",
    "training.drop_last": False,
    "training.precision": "fp32",
}


@dataclass(frozen=True, slots=True)
class GACConfig(AttentionConfig):
    """Hyperparameters of gated attention coding."""

    kernel_size: Annotated[int, Choice((1, 2, 3, 4, 5, 7))] = 4
    """Height and width of the gate's kernels; an even one shifts each convolution by half a pixel."""
    time_ratio: Annotated[int, Choice(_RATIOS)] = 2
    """Time steps per hidden unit of the temporal attention, at most T."""
    channel_ratio: Annotated[int, Choice((1, 2, 4, 8))] = 1
    """Channels per hidden channel of the gate's convolutions."""


class SameConv2d(nn.Conv2d):
    """A convolution without bias that keeps the size of the map; an even kernel's odd zero goes behind."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__(channels, out, kernel, padding="same", bias=False)  # read by the op counter

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        size = self.kernel_size[0]
        # what torch does itself for padding="same", but it warns about the copy
        padded = input if size % 2 else F.pad(input, (0, 1, 0, 1))
        return F.conv2d(padded, weight, bias, padding=(size - 1) // 2)


class TemporalAttention(nn.Module):
    """A_T: one attention per step and sample, from the mean and the maximum of each step's maps.

    Shape:
        Input: maps ``(T, B, C, H, W)``, or ``(1, B, C, H, W)`` when constant. Output: ``(T, B)``.
    """

    def __init__(self, steps: int, ratio: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(steps, max(1, steps // ratio), bias=False)
        self.excite = nn.Linear(self.squeeze.out_features, steps, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = torch.stack((maps.mean((2, 3, 4)), maps.amax((2, 3, 4))))
        pooled = pooled.expand(-1, self.squeeze.in_features, -1).transpose(1, 2)  # (2, B, T)
        hidden = self.squeeze(pooled).relu().sum(0)  # M2 is linear: one product with the sum replaces two
        out: Tensor = self.excite(hidden).T
        return out.contiguous()  # its layout decides that of all products with maps: time outside the batch

    def operations(self, values: int, steps: int, samples: int, outputs: int) -> Operations:
        """Return the operations by which ``outputs`` steps get their attention.

        Args:
            values: numbers that are attended to.
            steps: how many of their steps differ.
            samples: number of samples.
            outputs: steps that are run, T or fewer.
        """
        pooled, hidden = steps * samples, self.squeeze.out_features
        mlp = 2 * pooled * hidden + samples * hidden * outputs  # for a constant, the rows of M1 are summed beforehand
        # sums and comparisons of the poolings, both rectifiers, the sum of the branches; divisions of the mean
        summed = Operations(adds=2 * values + mlp + 3 * samples * hidden, multiplies=mlp)
        return summed + product_by(pooled / values) * pooled


class GatedAttention(Gate):
    """The gated attention unit. Fully connected neurons are maps of one pixel."""

    reads_current = True

    def __init__(self, config: GACConfig, steps: int, site: SiteInfo) -> None:
        super().__init__(config)
        self.hidden = max(1, site.channels // config.channel_ratio)
        kernel = 1 if site.size == (1, 1) else config.kernel_size  # the other taps would only see padding
        self.temporal = TemporalAttention(steps, config.time_ratio)
        self.squeeze = Synapse(SameConv2d(site.channels, self.hidden, kernel))
        self.excite = Synapse(SameConv2d(self.hidden, site.channels, kernel))

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        maps = current.current(_maps(current.decoded()))
        if maps.values.shape[0] not in (1, self.temporal.squeeze.in_features):
            raise ContractError("coding 'gac' can be cut only where the current of the first spiking layer is constant")
        a_t = self.temporal(maps.values)[: spikes.steps, ..., None, None, None]
        hidden = self.squeeze(maps)
        a_sc = self.excite(hidden.with_values(hidden.values.relu())).values
        gate = (a_t * a_sc).sigmoid()
        self.attend(gate.mean((1, 2, 3, 4)))
        # the first gate of a changing current waits for the last step's maps
        delay = spikes.delay + len(maps.values) - 1
        return replace(spikes, values=spikes.values * gate.view_as(spikes.values), kind=Kind.ANALOG, delay=delay)

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        """Everything but the convolutions, which are counted by themselves.

        The gate is only needed where there was a spike: two multiplications there, and a sigmoid, which on hardware is
        a table of line segments: a multiplication and an addition.
        """
        maps = _maps(current.decoded())
        samples = maps.shape[1]
        rectified = maps.numel() // maps.shape[2] * self.hidden
        fired = int(torch.count_nonzero(spikes.values))
        rest = Operations(adds=rectified + fired, multiplies=3 * fired)
        return self.temporal.operations(maps.numel(), len(maps), samples, spikes.steps) + rest


def _maps(values: Tensor) -> Tensor:
    return values if values.dim() == 5 else values[..., None, None]


class GAC(Coding):
    """Direct coding whose first spikes pass an attention gate over time, channels and space."""

    name = "gac"
    Config = GACConfig
    config: GACConfig
    step_range = Int(2, 8)  # one step leaves nothing to attend to in time
    source = "Qiu et al., AAAI 2024; code bollossom/GAC at ed8130a"
    published = tuple({"task": task, **_RELEASED_SYSTEM, **_RELEASED_TRAINING} for task in ("cifar10", "cifar100"))
    starting_points = ({**_RELEASED_NEURON, "steps": 4, "backbone": "ms-resnet"},)

    def __init__(self, config: GACConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        if self.config.time_ratio > steps:
            raise UsageError(f"coding.gac.time_ratio: {self.config.time_ratio} is more than the {steps} time steps")

    @classmethod
    def domains(cls, steps: int) -> Mapping[str, Domain]:
        return {"time_ratio": Choice(tuple(ratio for ratio in _RATIOS if ratio <= steps))}

    def between(self, site: SiteInfo) -> Between | None:
        return GatedAttention(self.config, self.steps, site) if site.index == 0 else None

    def cuts(self) -> tuple[int, ...]:
        """Return every step: a constant current's gates are known for all T steps at the first."""
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(GAC)
