"""Populations: the neurons of a layer on the cores of a chip, what they do step by step, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins.bases.prices import LOIHI_1, Storage
from spikefront.plugins.network.membrane import RESOLUTION
from spikefront.plugins.network.traffic import Traffic

PER_CORE: Final = LOIHI_1.neurons_per_core


@dataclass(eq=False)
class Population:
    """Neurons of one layer, or spiking inputs, on cores of their own.

    Arrays are whole numbers or nanoseconds by step, sample and core, ``(T, B, cores)``.

    Attributes:
        name: of its layer in the counts; empty for inputs.
        size: neurons.
        first: number of its first core.
        arrives: step of the chip at which its first input acts.
        emits: step at which its first spike is sent.
        accesses: per neuron and step; 0 for inputs.
        spikes: spikes that leave it; None for inputs.
        updates: neurons that are updated.
        outside: updates per sample and core of a step before ``updates`` begin.
        later: yields those of the steps after them.
        sent: messages that leave it.
        received: when messages begin to arrive, and what they take.
    """

    name: str
    size: int
    first: int
    arrives: int
    emits: int
    sent: Tensor
    accesses: int = 0
    spikes: Tensor | None = None
    updates: Tensor | None = None
    outside: Tensor | None = None
    later: Iterator[Tensor] | None = None
    received: list[tuple[int, Tensor]] = field(default_factory=list)

    @property
    def cores(self) -> int:
        return self.sent.shape[2]

    @property
    def filled(self) -> Tensor:
        """Neurons of each core."""
        return by_core(torch.ones(self.size)).double()


@dataclass(eq=False)
class Edge:
    """A synapse: its messages by source and target core, and where they go once that is known."""

    name: str
    storage: Storage
    messages: Tensor
    off_chip: bool
    source: Population | None
    target: Population | None = None
    starts: int = 0
    arrival_ns: Tensor | None = None


def messages_of(edge: Edge) -> Traffic:
    """Return the messages of a synapse, with the tiles that they cross."""
    x = y = 0
    if edge.source is not None and edge.target is not None:
        for source, target in edge.messages.nonzero().tolist():
            hops = LOIHI_1.hops(edge.source.first + source, edge.target.first + target)
            x, y = (so_far + hop * int(edge.messages[source, target]) for so_far, hop in zip((x, y), hops, strict=True))
    return Traffic(messages=int(edge.messages.sum()), hops_x=x, hops_y=y, off_chip=edge.off_chip, storage=edge.storage)


def whole_updates(population: Population, steps: int) -> Tensor:
    """Return the updates of all steps of the chip, ``(steps, B, cores)``."""
    if population.updates is None or population.outside is None or population.later is None:
        return torch.zeros(steps, *population.sent.shape[1:], dtype=torch.float64)
    before = [population.outside] * population.arrives
    known = [*before, *population.updates]
    return torch.stack([*known, *(next(population.later) for _ in range(steps - len(known)))])


def upkeep_times(population: Population, updates: Tensor) -> Tensor:
    """Return what each core takes to access and update its neurons, ``(steps, B, cores)``."""
    return LOIHI_1.update.ns * updates + LOIHI_1.access.ns * population.accesses * population.filled


def busy_times(population: Population, updates: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return what each core takes for its neurons, and for what it receives, ``(steps, B, cores)``."""
    own = upkeep_times(population, updates)
    at = slice(population.emits, population.emits + len(population.sent))
    own[at] += LOIHI_1.message.ns * population.sent
    if population.spikes is not None:
        own[at] += LOIHI_1.spike.ns * population.spikes
    received = torch.zeros_like(own)
    for start, arrival in population.received:
        received[start : start + len(arrival)] += arrival
    return own, received


def later_updates(charge: Iterator[Tensor] | None, biased: Tensor, touched: Tensor, states: int) -> Iterator[Tensor]:
    """Yield the updates of the steps after those of the network, by sample and core."""
    while True:
        charged = touched if charge is None else next(charge).abs() >= RESOLUTION
        yield states * by_core(biased | charged)


def by_core(values: Tensor) -> Tensor:
    """Return the sums by core of ``(..., C, H, W)`` or ``(N,)``, with at most a batch in front."""
    flat = values.flatten() if values.dim() == 1 else values.flatten(1)
    cores = -(-flat.shape[-1] // PER_CORE)
    padded = F.pad(flat, (0, cores * PER_CORE - flat.shape[-1]))
    fast = torch.int32 if padded.dtype is torch.bool else torch.float32  # a sum of whole numbers, exact below 2^24
    found: Tensor = padded.unflatten(-1, (cores, PER_CORE)).sum(-1, dtype=fast).double().cpu()
    return found


def core_of(values: Tensor) -> Tensor:
    """Return the core of each value within its population, in the shape of one sample and step."""
    one = values[0, 0]
    return (torch.arange(one.numel()) // PER_CORE).view(one.shape)
