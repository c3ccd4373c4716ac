"""Temporal convolutional network: fully connected layers whose synapses have several delays each.

A layer is ``s[t] = neurons(norm(sum_k W_k x[t - k d]))`` with k = 0 .. K-1 taps, d steps apart, and x = 0 before the
first step: a causal convolution over time, with weights of its own for each tap. The distance d grows ``growth`` times
from layer to layer, so that few layers see a long past. On a chip the taps are delays of synapses: a spike drives
``K x fan-out`` of them, one tap after the other, and each is charged where it arrives; what would arrive after
the last step is not. Reading a delay line is not charged. The read-out has no delays.

Reference: Bai, Kolter & Koltun, "An empirical evaluation of generic convolutional and recurrent networks for sequence
modeling", arXiv:1803.01271 (2018), for dilated causal convolutions; Hammouamri, Khalfaoui-Hassani & Masquelier,
"Learning delays in spiking neural networks using dilated convolutions with learnable spacings", ICLR (2024), for delays
as convolutions over time, whose distances are learnt there and fixed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor, nn

from spikefront.plugins import Backbone, Signal, Sites, hookimpl
from spikefront.plugins.bases.connected import connected
from spikefront.searchspace import PINNED, Choice, Int


@dataclass(frozen=True, slots=True)
class TCNConfig:
    """Hyperparameters of the temporal convolutional network."""

    width: Annotated[int, Int(8, 256, log=True)] = 32
    """Neurons in each hidden layer."""
    depth: Annotated[int, Int(1, 4)] = 3
    """Hidden layers."""
    taps: Annotated[int, Int(2, 8)] = 4
    """Delays K of each synapse of a hidden layer, the first of them none."""
    growth: Annotated[int, Int(1, 4)] = 2
    """By what the steps between two taps, one in the first layer, are multiplied from layer to layer."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class Delays(nn.Module):
    """A layer's values beside those of earlier steps: ``(T, B, C) -> (T, B, K C)``, the latest first.

    Args:
        taps: K.
        distance: steps between two of them.
    """

    def __init__(self, taps: int, distance: int) -> None:
        super().__init__()
        self.taps = taps
        self.distance = distance

    def forward(self, signal: Signal) -> Signal:
        values = signal.values.expand(signal.steps, *signal.values.shape[1:])
        coefficient = signal.coefficient
        if coefficient is not None:
            if coefficient.dim() == 3:  # what differs by sample can't differ by channel too
                return signal.current(self._delayed(signal.decoded().expand_as(values)))
            by_channel = coefficient if coefficient.dim() == 2 else coefficient.unsqueeze(1)
            coefficient = by_channel.expand(-1, values.shape[2])
            varies = len(coefficient) > 1
            coefficient = self._delayed(coefficient) if varies else coefficient.repeat(1, self.taps)
        return replace(signal, values=self._delayed(values), coefficient=coefficient)

    def _delayed(self, values: Tensor) -> Tensor:
        """Return values ``(T, ..., C)`` or ``(T, C)`` with their past beside them, zeros before the first step."""
        axis = min(2, values.dim() - 1)
        taps = []
        for tap in range(self.taps):
            late = min(tap * self.distance, len(values))
            taps.append(torch.cat([torch.zeros_like(values[:late]), values[: len(values) - late]]))
        return torch.cat(taps, axis)


class TCN(Backbone):
    """Fully connected hidden layers of one width that see several past steps."""

    name = "tcn"
    Config = TCNConfig
    config: TCNConfig
    convertible = False
    delays = True
    layouts = frozenset({"sequences"})

    def __init__(
        self, config: TCNConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        self.layers = connected(
            self.config,
            input_shape,
            outputs,
            sites,
            taps=self.config.taps,
            before=lambda depth: Delays(self.config.taps, self.config.growth**depth),
        )


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(TCN)
