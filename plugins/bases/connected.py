"""Fully connected layers with batch norm and spiking neurons, and a linear read-out: what perceptrons are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from torch import nn

from spikefront.plugins.contracts import Sites
from spikefront.plugins.network.layers import Flatten, Synapse


class Connected(Protocol):
    """Hyperparameters of fully connected layers."""

    @property
    def width(self) -> int:
        """Neurons in each hidden layer."""
        ...

    @property
    def depth(self) -> int:
        """Hidden layers."""
        ...

    @property
    def readout(self) -> str:
        """``current`` of the last layer, or ``spikes`` of neurons that it drives."""
        ...


def connected(
    config: Connected,
    input_shape: tuple[int, ...],
    outputs: int,
    sites: Sites,
    *,
    recurrent: bool = False,
    taps: int = 1,
    before: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """Return the layers of a perceptron.

    Args:
        config: width, depth and read-out.
        input_shape: shape of one input at one step.
        outputs: number of outputs.
        sites: makes the spiking layers.
        recurrent: whether hidden layers feed back.
        taps: values that ``before`` makes of each.
        before: makes what stands in front of each hidden synapse, by its number from 0; None for nothing.
    """
    layers: list[nn.Module] = [Flatten()]
    features = math.prod(input_shape)
    for depth in range(config.depth):
        if before is not None:
            layers.append(before(depth))
        weight = nn.Linear(taps * features, config.width, bias=False)
        layers.append(Synapse(weight, nn.BatchNorm1d(config.width)))
        layers.append(sites(config.width, last_of_stage=depth == config.depth - 1, recurrent=recurrent))
        features = config.width
    layers.append(Synapse(nn.Linear(features, outputs)))
    if config.readout == "spikes":
        layers.append(sites(outputs, stage=1))
    return nn.Sequential(*layers)
