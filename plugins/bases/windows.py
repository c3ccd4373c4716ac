"""Layers between neurons that fire once in a window, in whole numbers: weights, sums and pooling of levels.

An edge carries at most one spike per neuron, at step ``S - n`` of S for the level n, and what is behind integrates it
as a ramp. So the first spike of several is that of the largest level, a constant is a current that comes at the first
step and is taken back at the second, and a sum of potentials goes on where the earlier ones are held.

Every weight is rounded to a multiple of one number, the quantum of the network, with what a spike is worth in it; so
are biases, and currents of analog values. The thresholds are multiples too. Then potentials are whole numbers of
quanta, which floats hold exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins.network.layers import Add, AvgPool, Counted, MaxPool, Synapse, by_step, fold
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Kind, Signal, over_time

EXACT_BITS: Final = 22
"""A float of 32 bits holds whole numbers of 24; two are left for sums of several synapses."""

_FINE: Final = 2.0**-20


def preload(steps: int) -> Tensor:
    """Return the current ``(T,)`` by which a ramp gets a potential of 1: it comes at once, and stops after a step."""
    return torch.tensor([1.0, -1.0, *[0.0] * (steps - 2)])


def integrated(signal: Signal) -> Tensor:
    """Return the potentials ``(B, ...)`` that a signal of T steps leaves, in units of what it carries."""
    values = signal.decoded()
    return values.expand(signal.steps, *values.shape[1:]).cumsum(0).sum(0)


class WholeSynapse(Synapse):
    """A synapse whose weights, once trained, are multiples of ``quantum``.

    Attributes:
        quantum: the least step of a weight, in units of the ANN's activations; a power of two.
    """

    quantum: Tensor

    def __init__(self, synapse: Synapse) -> None:
        super().__init__(synapse.weight, synapse.norm)
        self.register_buffer("quantum", torch.tensor(_FINE))

    def forward(self, signal: Signal) -> Signal:
        if self.training:
            return super().forward(signal)
        weight, bias = self.folded()
        values, over_steps = signal.values, signal.coefficient
        if signal.kind is not Kind.ANALOG:
            weight, over_steps = self.whole(self._worth(weight, signal)), None
        elif over_steps is not None and len(over_steps) == 1:
            values, over_steps = signal.decoded(), None
        out = by_step(values, lambda x: self._map(x, weight, None))
        if signal.kind is Kind.ANALOG:
            out = self.whole(out)
        if over_steps is not None:
            out = out * over_time(over_steps, out)
        if bias is not None:
            shares = torch.ones(1).to(out) if self.bias_over_time is None else self.bias_over_time[: signal.steps]
            out = out + self.whole(bias).view(-1, *[1] * (out.dim() - 3)) * over_time(shares, out)
        return signal.current(out)

    def bias_steps(self, steps: int) -> int:
        """Return 1: a bias is what the potential begins with."""
        return 1

    def whole(self, values: Tensor) -> Tensor:
        """Round to multiples of the quantum."""
        quantum = self.quantum.double()
        return ((values.double() / quantum).round() * quantum).to(values)

    def reach(self, signal: Signal) -> float:
        """Return the largest potential that any input of these values could cause, in units of the activations.

        Args:
            signal: a signal such as the network drives it with.
        """
        weight, bias = self.folded()
        if signal.kind is Kind.ANALOG:
            largest = float(signal.decoded().abs().max())
        else:  # of pooled spikes several arrive as one value
            weight = self._worth(weight, signal)
            largest = signal.steps * _power_above(float(signal.values.sum(0).max()))
        sums = weight.abs().transpose(0, 1) if isinstance(self.weight, nn.ConvTranspose2d) else weight.abs()
        return largest * float(sums.flatten(1).sum(1).max()) + (0.0 if bias is None else float(bias.abs().max()))

    def _worth(self, weight: Tensor, signal: Signal) -> Tensor:
        """Return weights times what a spike of each input channel is worth, once for each train of a sum."""
        inputs = 0 if isinstance(self.weight, nn.ConvTranspose2d) else 1
        groups = 1 if isinstance(self.weight, nn.Linear) else self.weight.groups
        if (trains := signal.values.shape[2] // (weight.shape[inputs] * groups)) > 1:
            if groups > 1:
                raise ValueError("a sum of trains can't drive a convolution in groups")
            weight = torch.cat([weight] * trains, inputs)
        if signal.coefficient is None:
            return weight
        worth = signal.coefficient[0].reshape(-1).to(weight)
        if len(worth) > 1 and groups > 1:
            by_group = worth.view(groups, -1).repeat_interleave(len(weight) // groups, 0)
            return weight * by_group[:, :, None, None]
        return weight * worth.view([-1 if axis == inputs else 1 for axis in range(weight.dim())])


class FirstSpikePool(MaxPool, Counted):
    """Max pooling of levels: the first spike of each window passes, and later ones do not."""

    role = "residual"

    def forward(self, signal: Signal) -> Signal:
        pooled = super().forward(signal)
        fired = pooled.values.cumsum(0)
        return pooled.with_values(pooled.values * (fired == pooled.values))

    def operations(self, signal: Signal) -> Operations:
        """A look at the latch per spike that arrives."""
        return Operations(adds=int(torch.count_nonzero(signal.values)))


class SumPool(AvgPool):
    """Average pooling as a sum, whose division folds into the weights behind."""

    def forward(self, signal: Signal) -> Signal:
        if signal.kind is Kind.ANALOG:
            return super().forward(signal)
        summed = fold(signal.values, lambda x: F.avg_pool2d(x * math.prod(self.size), self.size))
        kind = Kind.COUNT if signal.kind is Kind.BINARY else signal.kind
        return replace(signal, values=summed, kind=kind).weighted(summed.new_tensor([1 / math.prod(self.size)]))


class WindowAdd(Add):
    """Sum of two potentials, or of two trains of levels.

    Of potentials, the one that is there first is held, and the other adds to it. Trains drive the synapse behind one by
    one, so they lie side by side: the channels of the first, then those of the second.
    """

    def forward(self, first: Signal, second: Signal) -> Signal:
        if first.events is not None or second.events is not None:
            raise ValueError("a sum behind average pooling has no op count: put a spiking site between them")
        delay = max(first.delay, second.delay)
        if _are_trains(first, second):
            if self.training:  # whose synapses don't take trains apart
                return super().forward(first, second)
            values = torch.cat([first.values, second.values], 2)
            binary = first.kind is second.kind is Kind.BINARY
            worth = torch.cat([_by_channel(first), _by_channel(second)], 1)
            return Signal(values, first.steps, Kind.BINARY if binary else Kind.COUNT, worth, delay)
        summed = integrated(first) + integrated(second)
        shares = preload(first.steps).to(summed)
        return Signal(summed.unsqueeze(0), first.steps, Kind.ANALOG, shares, delay)

    def operations(self, first: Signal, second: Signal) -> Operations:
        """An addition per neuron; trains are not added, but each is charged where it drives a synapse."""
        return Operations(adds=0 if _are_trains(first, second) else first.values[0].numel())


def _are_trains(first: Signal, second: Signal) -> bool:
    return first.kind is not Kind.ANALOG and second.kind is not Kind.ANALOG


def _by_channel(signal: Signal) -> Tensor:
    """Return what a spike of each channel is worth, ``(1, C)``."""
    channels = signal.values.shape[2]
    if signal.coefficient is None:
        return signal.values.new_ones(1, channels)
    return signal.coefficient.reshape(1, -1).expand(1, channels)


def _power_above(value: float) -> float:
    return 2.0 ** math.ceil(math.log2(max(1.0, value)))


def in_windows(module: nn.Module) -> None:
    """Replace the layers inside a module by those of this file."""
    for name, child in list(module.named_children()):
        in_windows(child)
        if (made := _replacement(child)) is not None:
            setattr(module, name, made.train(child.training))


def _replacement(layer: nn.Module) -> nn.Module | None:
    if type(layer) is Synapse:
        return WholeSynapse(layer)
    if type(layer) is MaxPool:
        return FirstSpikePool(layer.size)
    if type(layer) is AvgPool:
        return SumPool(layer.size)
    return WindowAdd() if type(layer) is Add else None


@contextmanager
def reached(module: nn.Module) -> Iterator[list[float]]:
    """Context in which the reach of each synapse inside a module that is run is appended to the list."""
    found: list[float] = []

    def note(synapse: WholeSynapse) -> Callable[..., None]:
        return lambda _, args: found.append(synapse.reach(args[0]))

    synapses = [inner for inner in module.modules() if isinstance(inner, WholeSynapse)]
    handles = [synapse.register_forward_pre_hook(note(synapse)) for synapse in synapses]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


__all__ = [
    "EXACT_BITS",
    "FirstSpikePool",
    "SumPool",
    "WholeSynapse",
    "WindowAdd",
    "in_windows",
    "integrated",
    "preload",
    "reached",
]
