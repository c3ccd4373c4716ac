"""A training that was watched, layer by layer and epoch by epoch: records that runners write and results read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

READOUT: Final = "read-out"
"""Layer of the parameters behind the last spiking layer: they drive no neuron."""
INPUT: Final = "input"
"""Layer of the coded input."""


def short(layer: str) -> str:
    """Return the name of a layer without what all have in common."""
    return layer.removeprefix("backbone.").removesuffix(".neuron")


@dataclass(frozen=True, slots=True)
class LayerEpoch:
    """A layer after one epoch. NaN stands for what it does not have, or what was not measured.

    Attributes:
        layer: the name of its neurons in the network; ``INPUT`` and ``READOUT`` for what lies before and behind.
        epoch: from 1.
        rate: spikes per neuron and time step, on the samples on which operations are counted; of the input, spikes per
            value and step.
        silent: share of the neurons that fire for no such sample, in [0, 1].
        saturated: share of the neurons that fire at every step of every such sample, in [0, 1].
        current: largest current into a neuron, in the unit of the threshold.
        margin: largest membrane potential minus threshold in the epoch's training; below 0 no neuron fired in it.
        passing: share of potentials at which the surrogate gradient is at least 1 % of its peak, in [0, 1].
        gradient: L2 norm of the loss's gradient by the parameters that drive the layer, and by its own: mean over the
            epoch's training steps; infinite where that of one step was not finite.
        moved: L2 distance of these parameters from where training began, in norms of what they were then.
    """

    layer: str
    epoch: int
    rate: float = math.nan
    silent: float = math.nan
    saturated: float = math.nan
    current: float = math.nan
    margin: float = math.nan
    passing: float = math.nan
    gradient: float = math.nan
    moved: float = math.nan


@dataclass(frozen=True, slots=True)
class ConvertedLayer:
    """What a spiking layer kept of the activations of the ANN that it was converted from, on the counted samples.

    Attributes:
        layer: the name of its neurons in the network.
        activation: mean activation of the ANN's rectifiers.
        carried: mean of the numbers that its spike trains stand for, in the same unit.
        rate: spikes per neuron and time step.
        error: L2 norm of the difference of both, in norms of the activations; 0 is a perfect conversion.
        clipped: share of the activations above the number that a full train stands for, in [0, 1].
    """

    layer: str
    activation: float
    carried: float
    rate: float
    error: float
    clipped: float


@dataclass(frozen=True, slots=True)
class Retraining:
    """A candidate that was trained again, and watched.

    Attributes:
        layers: each layer after each epoch, in the order of the network; of a conversion coding those of its ANN, of
            which the gradients alone are known by epoch.
        history: metrics of each epoch that ended.
        steps: training steps of an epoch.
        reason: exception that ended it, in one line; empty where it came to its end.
        traceback: of this exception.
        place: file and line of this exception; empty where there is none.
        converted: layers of a converted network; empty of any other.
    """

    layers: tuple[LayerEpoch, ...]
    history: tuple[Mapping[str, float], ...]
    steps: int
    reason: str = ""
    traceback: str = ""
    place: str = ""
    converted: tuple[ConvertedLayer, ...] = ()

    @property
    def epochs(self) -> int:
        """Epochs that are known, the last perhaps not to its end."""
        return max((one.epoch for one in self.layers), default=0)

    def at(self, epoch: int) -> list[LayerEpoch]:
        """Return the layers after an epoch."""
        return [one for one in self.layers if one.epoch == epoch]
