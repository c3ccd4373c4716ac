"""Readers of NIR files that take it otherwise than it is defined, and what a file for them has instead.

Each row was found by running the reader on exported networks and comparing outputs step by step; docs/export.md has the
table, and what has to be set in the reader.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikefront.plugins import AvgPool, Dropout, Flatten, Neuron, Site, Synapse
from spikefront.plugins.neurons.integrate_and_fire import IF
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.neurons.plif import PLIF
from spikefront.plugins.neurons.snntorch_leaky import SnnTorchLeaky
from spikefront.plugins.neurons.spikingjelly_lif import SpikingJellyLIF
from spikefront.searchspace import UnknownName, UsageError

_NO_LEAK: Final = 1e15
"""Time constant, in time steps, of a neuron that loses nothing in double precision."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What a reader makes of a NIR file.

    Attributes:
        name: its name.
        averages: whether it reads average pooling; else the file has sums, and smaller weights behind them.
        resistances: whether it reads the resistance of LIF neurons; else it is part of the weights before them.
        biases: whether a linear layer needs one.
        integrators: whether it reads IF neurons; else they are LIF neurons that lose nothing.
        in_steps: whether it takes tau for a number of time steps, decays by ``exp(-1 / tau)``, and does not divide the
            current by tau.
        subtracts: whether it can be told to subtract the threshold at a spike, which NIR can't say.
    """

    name: str
    averages: bool = True
    resistances: bool = True
    biases: bool = False
    integrators: bool = True
    in_steps: bool = False
    subtracts: bool = False


READERS: Final = {
    reader.name: reader
    for reader in (
        Reader("spikingjelly"),
        Reader("snntorch", integrators=False),
        Reader("norse", averages=False, resistances=False),
        Reader("sinabs", averages=False, resistances=False, biases=True, in_steps=True, subtracts=True),
    )
}
"""Readers by name; the first one takes NIR as it is defined."""


def reader_named(name: str | None) -> Reader:
    """Return a reader; the one that takes NIR as it is defined for None.

    Raises:
        UnknownName: for another name.
    """
    if name is None:
        return next(iter(READERS.values()))
    if name not in READERS:
        raise UnknownName("reader of NIR files", name, READERS)
    return READERS[name]


class Constants(NamedTuple):
    """A leaky integrator that resets to 0, as NIR describes it.

    Attributes:
        tau: its time constant, in time steps; infinite where it does not leak.
        threshold: potential at which it fires.
        divides: whether tau divides its current too.
    """

    tau: float
    threshold: float
    divides: bool


def constants_of(neuron: Neuron) -> Constants | None:
    """Return the constants of a neuron that NIR has, if it resets to 0, which the caller checks; None for others."""
    config = neuron.config
    if type(neuron) is IF:
        return Constants(math.inf, config.threshold, divides=False)
    if type(neuron) in (LIF, SpikingJellyLIF):
        return Constants(config.tau, config.threshold, config.decay_input)
    if isinstance(neuron, PLIF):
        return Constants(1 / float(neuron.w.detach().double().sigmoid()), config.threshold, config.decay_input)
    if isinstance(neuron, SnnTorchLeaky):
        return Constants(1 / (1 - config.beta), config.threshold, divides=False)
    return None


def gain_of(constants: Constants | None, reader: Reader) -> float:
    """Return what the current of a neuron is multiplied by in the weights before it, for a reader that does not do it.

    Args:
        constants: of a neuron that NIR has.
        reader: the reader.
    """
    assert constants is not None  # or it was refused
    if math.isinf(constants.tau) or reader.resistances:
        return 1.0
    if reader.in_steps:
        return 1 / constants.tau if constants.divides else 1.0
    return 1.0 if constants.divides else constants.tau


def steps_of_decay(tau: float) -> float:
    """Return the time constant, in time steps, of an exponential decay that leaves ``1 - 1 / tau`` in a step."""
    return -1 / math.log1p(-1 / tau)


def without_leak(shape: tuple[int, ...], threshold: float, step_s: float) -> dict[str, NDArray[np.float64]]:
    """Return the parameters of a LIF node that is an integrator: ``tau dv/dt = -v + r I`` with a tau without end."""
    tau = np.full(shape, _NO_LEAK * step_s)
    rest = np.zeros(shape)
    return {"tau": tau, "r": tau / step_s, "v_leak": rest, "v_threshold": np.full(shape, threshold), "v_reset": rest}


def factors(layers: Sequence[nn.Module], gains: Sequence[float], reader: Reader) -> list[tuple[float, float]]:
    """Return what the weights of each synapse are multiplied by, for its inputs and for its output; 1 and 1 elsewhere.

    Args:
        layers: the layers of a chain.
        gains: what the current of each neuron is multiplied by before it, in their order.
        reader: the reader.

    Raises:
        UsageError: where there are no weights to put a factor into.
    """
    found, left = [(1.0, 1.0)] * len(layers), iter(gains)
    before, synapse = 1.0, -1
    for number, layer in enumerate(layers):
        if isinstance(layer, AvgPool) and not reader.averages:
            before /= layer.size[0] * layer.size[1]
            synapse = -1
        elif isinstance(layer, Synapse):
            found[number], before, synapse = (before, 1.0), 1.0, number
        elif isinstance(layer, Site):
            gain = next(left)
            if (gain != 1 and synapse < 0) or before != 1:
                raise UsageError(
                    f"a NIR file for {reader.name} needs weights between pooling and neurons of layer {number}"
                )
            if synapse >= 0:
                found[synapse] = (found[synapse][0], gain)
            synapse = -1
        elif not isinstance(layer, (Dropout, Flatten, AvgPool)):
            synapse = -1
    if before != 1:
        raise UsageError(f"a NIR file for {reader.name} needs weights behind its last pooling")
    return found
