"""Recurrent layers: neurons that also get, one step later, the spikes of their own layer.

With x the current from outside, R the weights of the feedback and s the spikes, at each step::

    I[t] = x[t] + R s[t-1],   s[-1] = 0

R is a synapse like any other: the op counter charges each spike for the neurons that it reaches in the next step, and
the spikes of the last step for nothing, since no step follows. The sum is none of its own: the accumulates of both
synapses go to the same potential.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins.contracts.neuron import Neuron
from spikefront.plugins.network.layers import Synapse, uncounted
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Signal
from spikefront.searchspace import UsageError


class Recurrent(Neuron):
    """The neurons of a layer with feedback. Made by ``sites(channels, recurrent=True)``; it runs step by step.

    Args:
        neuron: what each of them is; one that states a step.
        channels: neurons of the layer.

    Attributes:
        neuron: that.
        feedback: R, which starts orthogonal.

    Raises:
        UsageError: for a neuron that states no step.
    """

    name = "recurrent"

    def __init__(self, neuron: Neuron, channels: int) -> None:
        super().__init__(None, surrogate=neuron.surrogate)
        if not neuron.states_a_step():
            raise UsageError(f"neuron {neuron.name!r} defines no step(), and so can't be in a recurrent layer")
        self.neuron = neuron
        self.feedback = Synapse(nn.Linear(channels, channels, bias=False))
        nn.init.orthogonal_(self.feedback.weight.weight)
        self.kind = neuron.kind  # type: ignore[misc]
        self.folds_bias = neuron.folds_bias  # type: ignore[misc]
        self.states = neuron.states

    def forward(self, current: Tensor, steps: int) -> Tensor:
        spikes: list[Tensor] = []
        state: tuple[Tensor, ...] | None = None
        each = current.unbind(0)  # its gradient is one stack; that of an index would be as long as the current
        for t in range(steps):
            total = each[t if len(each) > 1 else 0]
            if t:
                total = total + self.fed(spikes[-1])
            fired, state = self.neuron.step(total, state)
            spikes.append(fired)
        return torch.stack(spikes)

    def fed(self, spikes: Tensor) -> Tensor:
        """Return the current ``(B, C)`` by which the spikes of one step drive the next one."""
        with uncounted():  # counted by the spikes that come out
            return F.linear(spikes, self.feedback.weight.weight)

    def fed_back(self, spikes: Tensor, delay: int) -> Signal:
        """Return what the feedback carries into each step, of the spikes ``(T, B, C)`` that were emitted."""
        before = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
        return Signal(before, len(spikes), self.kind, delay=delay)

    @property
    def slots(self) -> int:
        return self.neuron.slots

    def update_operations(self) -> Operations:
        return self.neuron.update_operations()

    def spike_operations(self) -> Operations:
        return self.neuron.spike_operations()


def recurrent_layers(network: nn.Module) -> Iterator[Recurrent]:
    """Yield the recurrent layers of a network."""
    return (module for module in network.modules() if isinstance(module, Recurrent))
