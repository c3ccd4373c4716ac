"""Traffic on a chip of spiking cores: what a layer does there beside its operations, and how long the cores take.

Counted for a network that is laid out on ``spikefront.plugins.bases.prices.LOIHI_1`` by one rule: layers in the order
of the forward pass, each from a new core on, its neurons in the order (C, H, W). Spiking inputs are a layer; a constant
analog input is not, since it is the bias of the neurons behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

ANALOG_SPIKES: Final = 8
"""Spikes that stand for one analog value on its way: its binary digits, all of them set."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events of one layer on a chip, summed over the steps and samples of the measuring batch.

    Attributes:
        accesses: of neurons, one per step; two for a neuron with two states. One sample by itself takes its T steps,
            and one more for each layer that its last spikes still have to pass.
        updates: accesses at which a neuron's potential is computed: it got a message in the step before, its potential
            is not 0, it has a bias or constant current, or it fires.
        messages: of a synapse, its events, each times the cores that it reaches.
        hops_x: tiles that these messages cross from east to west or back.
        hops_y: from north to south or back.
        off_chip: whether the layer reads a constant analog input, so that its work is the host's.
        storage: how cores store a synapse's weights: ``dense``, ``sparse`` or ``conv``; empty for other layers.
    """

    accesses: int = 0
    updates: int = 0
    messages: int = 0
    hops_x: int = 0
    hops_y: int = 0
    off_chip: bool = False
    storage: str = ""

    def __add__(self, other: Traffic) -> Traffic:
        """Return the traffic of one layer on both of two batches."""
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in _SUMMED})

    def __mul__(self, times: int) -> Traffic:
        return replace(self, **{name: getattr(self, name) * times for name in _SUMMED})


_SUMMED: Final = ("accesses", "updates", "messages", "hops_x", "hops_y")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the cores of a chip take for the samples of a measuring batch, one after the other.

    Attributes:
        steps: time steps of one sample by itself, see ``Traffic.accesses``.
        cores: cores that the network takes.
        tiles: tiles of the mesh that these are on.
        busy_ns: time of the busiest core of each step, summed over the steps and samples: the longer of what a core
            takes for its neurons and the messages that it sends, and for those that it receives.
    """

    steps: int
    cores: int
    tiles: int
    busy_ns: float

    def __add__(self, other: Timing) -> Timing:
        """Return the timing of both of two batches of one network."""
        return replace(self, busy_ns=self.busy_ns + other.busy_ns)
