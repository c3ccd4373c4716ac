"""Neurons that are described by one time step: the base of adaptive neurons.

The steps of a run are a loop, and its gradient is torch's through the graph of it: slower than what runs as machine
code, and linear in T.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikefront.plugins.contracts import Neuron
from spikefront.plugins.contracts.plugin import SEQUENTIAL
from spikefront.plugins.network.operations import Operations, product_by
from spikefront.plugins.network.signal import Kind

State = tuple[Tensor, ...]


class Stepwise(Neuron):
    """A neuron that is described by ``step``; a run is as many of them."""

    @abstractmethod
    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]: ...

    def forward(self, current: Tensor, steps: int) -> Tensor:
        spikes: list[Tensor] = []
        state: State | None = None
        each = current.unbind(0)  # its gradient is one stack; that of an index would be as long as the current
        for t in range(steps):
            fired, state = self.step(each[t if len(each) > 1 else 0], state)
            spikes.append(fired)
        return stacked(spikes)


class Adaptive(Stepwise):
    """A neuron with a potential and an adaptation, for sequences; its config has ``tau`` and ``tau_adaptation``."""

    config: Any
    inputs = SEQUENTIAL
    states = 2

    @property
    def decays(self) -> tuple[float, float]:
        """What is left of potential and adaptation after a step."""
        return math.exp(-1 / self.config.tau), math.exp(-1 / self.config.tau_adaptation)


class Counting(Stepwise):
    """A leaky integrator that fires up to D times in a step; its config has ``tau`` and ``most``, which is D.

    A chip fires its spikes one by one, in D slots of a step. Currents are summed over the slots, and biases come once.
    """

    config: Any
    kind = Kind.COUNT
    folds_bias: ClassVar[bool] = True

    @property
    def slots(self) -> int:
        most: int = self.config.most
        return most

    @property
    def keep(self) -> float:
        """Share of the membrane potential that a step keeps."""
        return 1 - 1 / float(self.config.tau)

    def update_operations(self) -> Operations:
        # leak, take the current in, compare in each slot
        return product_by(self.keep) + Operations(adds=1 + self.slots)

    def spike_operations(self) -> Operations:
        return Operations(adds=1)  # soft reset


def stacked(steps: list[Tensor]) -> Tensor:
    """Stack steps in time; each keeps its layout in memory."""
    first = steps[0]
    if first.is_contiguous():
        return torch.stack(steps)
    order = sorted(range(first.dim()), key=first.stride, reverse=True)
    back = [order.index(axis) + 1 for axis in range(first.dim())]
    return torch.stack([step.permute(order) for step in steps]).permute(0, *back)
