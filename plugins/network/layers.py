"""Stateless layers on signals: they fold time into the batch, so T steps cost one call.

Each is a module from ``Signal`` to ``Signal``. The op counter listens to these classes and to neurons, nothing else; a
module of your own is counted if it is a ``Counted``, and nothing is counted inside ``uncounted``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins.network.operations import Operations, Role
from spikefront.plugins.network.pooling import Tap, max_pool
from spikefront.plugins.network.signal import Kind, Signal, over_time


def fold(values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``function`` to time and batch as one: ``(T, B, ...) -> (T*B, ...) -> (T, B, ...)``."""
    folded: Tensor = function(values.flatten(0, 1)).unflatten(0, values.shape[:2])
    return folded


def by_step(values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``function`` as ``fold`` does, but to one step at a time.

    A matrix product may round a row by the number of rows; so a step's values do not depend on how many follow.
    """
    if len(values) == 1:
        return fold(values, function)
    stepped: Tensor = torch.cat([function(step) for step in values]).unflatten(0, values.shape[:2])
    return stepped


_counting: ContextVar[bool] = ContextVar("counting", default=True)


@contextmanager
def uncounted() -> Iterator[None]:
    """Exclude operations inside from the count: passes that repeat what hardware does once, step by step."""
    token = _counting.set(False)
    try:
        yield
    finally:
        _counting.reset(token)


def counting() -> bool:
    """Return whether operations are counted now."""
    return _counting.get()


_bf16: ContextVar[bool] = ContextVar("bf16", default=False)


@contextmanager
def in_bf16() -> Iterator[None]:
    """Compute convolutions and linear layers in bfloat16 inside; what they take and return stays float32."""
    token = _bf16.set(True)
    try:
        yield
    finally:
        _bf16.reset(token)


class Counted(nn.Module):
    """A module that states its operations to the op counter.

    Attributes:
        role: under which heading they are charged.
    """

    role: ClassVar[Role] = "attention"

    def operations(self, *signals: Any, **_: Any) -> Operations:
        """Return the operations of one call on these inputs, summed over time and batch.

        Synapses inside are counted by themselves.
        """
        raise TypeError(f"{type(self).__name__} must define operations()")


Weight = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
"""What a synapse may be made of."""


class Synapse(nn.Module):
    """A weight layer, with the batch norm that follows it.

    Computes ``norm(coefficient[t] * (W x[t]) + bias)``, applying the signal's coefficient on whichever side of W has
    fewer values; one that differs by channel is applied before. Changes are summed before W, where they are whole
    numbers; hardware sums behind it. In eval mode the norm is folded into the weights, as
    it is on hardware, and steps are computed one by one, so that the first ones are the same whatever T is.

    Shape:
        Input: ``(T, B, ...)``, or ``(1, B, ...)`` for a constant signal. Output: the same leading axes; T steps where a
        coefficient varies over time.

    Args:
        weight: an ``nn.Conv2d``, ``nn.ConvTranspose2d`` or ``nn.Linear``.
        norm: the batch norm of its output, or None.

    Attributes:
        bias_over_time: share of the bias that each step adds, ``(T,)`` or ``(1,)``; None for all of it at every step.
            A signal of fewer steps gets the first ones. Set by the conversion of a trained network, where a step's
            current has a weight.
    """

    bias_over_time: Tensor | None

    def __init__(self, weight: Weight, norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.norm = norm
        self.register_buffer("bias_over_time", None)

    def forward(self, signal: Signal) -> Signal:
        values, coefficient = signal.values, signal.coefficient
        if signal.changes or (coefficient is not None and (coefficient.dim() == 2 or self._narrows(signal))):
            values, coefficient = signal.decoded(), None
        return signal.current(self._transform(values, coefficient, signal.steps))

    def _narrows(self, signal: Signal) -> bool:
        """Return whether the input has fewer values than the output, so that weighting it is cheaper."""
        assert signal.coefficient is not None
        if len(signal.coefficient) > len(signal.values):  # a constant that is weighted over time: W x is computed once
            return False
        if isinstance(self.weight, nn.Linear):
            return self.weight.in_features < self.weight.out_features
        return self.weight.in_channels < self.weight.out_channels

    def _transform(self, values: Tensor, coefficient: Tensor | None, steps: int) -> Tensor:
        apply = fold if self.training else by_step
        if self.training or self.norm is None:
            weight, bias, norm = self.weight.weight, self.weight.bias, self.norm
        else:
            weight, bias = self.folded()
            norm = None
        shares = None if self.bias_over_time is None else self.bias_over_time[:steps]
        if coefficient is None and shares is None:
            out = apply(values, lambda x: self._map(x, weight, bias))
        else:  # the bias is not weighted as the input is, so it is added by itself
            out = apply(values, lambda x: self._map(x, weight, None))
            if coefficient is not None:
                out = out * over_time(coefficient, out)
            if bias is not None:
                bias = bias.view(-1, *[1] * (out.dim() - 3))
                out = out + (bias if shares is None else bias * over_time(shares, out))
        return out if norm is None else fold(out, norm)

    def bias_steps(self, steps: int) -> int:
        """Return at how many of the first ``steps`` steps of its output a bias is added."""
        shares = self.bias_over_time
        varies = shares is not None and len(shares[:steps]) == steps
        return int(torch.count_nonzero(shares[:steps])) if shares is not None and varies else steps

    def _map(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _bf16.get() and values.dtype == torch.float32:
            bias = bias if bias is None else bias.bfloat16()
            return self._map(values.bfloat16(), weight.bfloat16(), bias).float()
        layer = self.weight
        if isinstance(layer, nn.Linear):
            return F.linear(values, weight, bias)
        if isinstance(layer, nn.ConvTranspose2d):
            assert not isinstance(layer.padding, str)
            return F.conv_transpose2d(
                values, weight, bias, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
            )
        out: Tensor = layer._conv_forward(values, weight, bias)
        return out

    @property
    def biased(self) -> bool:
        """Whether a bias is added in eval mode, that of a folded norm included."""
        return self.norm is not None or self.weight.bias is not None

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias with the batch norm's running statistics folded in."""
        norm = self.norm
        if norm is None:
            return self.weight.weight, self.weight.bias
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * scale
        if self.weight.bias is not None:
            bias = bias + self.weight.bias * scale
        return _scaled(self.weight, scale), bias


def _scaled(layer: Weight, scale: Tensor) -> Tensor:
    """Return a layer's weights times a scale for each output channel."""
    if not isinstance(layer, nn.ConvTranspose2d):
        return layer.weight * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    inputs, outputs, height, width = layer.weight.shape  # (C_in, C_out / groups, h, w)
    grouped = layer.weight.view(layer.groups, inputs // layer.groups, outputs, height, width)
    return (grouped * scale.view(layer.groups, 1, outputs, 1, 1)).view_as(layer.weight)


class MaxPool(nn.Module):
    """Max pooling of spikes: an OR over each window, so the edge keeps its kind and coefficient.

    The coefficient is not part of the comparison: a spike is a spike whatever its step is worth.

    Raises:
        ValueError: behind average pooling, where values are no spikes any more, and of changes, whose largest is not
            the change of the largest.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, signal: Signal) -> Signal:
        if signal.events is not None:
            raise ValueError("max pooling behind average pooling has no op count: put a spiking site between them")
        if signal.changes:
            raise ValueError("max pooling of changes is not that of what they sum up to: take average pooling")
        tap = Tap.of(signal.values)
        return signal.with_values(fold(signal.values, lambda x: max_pool(x, self.size, tap)))


class AvgPool(nn.Module):
    """Average pooling.

    Linear, so on hardware it folds into the next synapse, which is charged for the events that come into the pooling.

    Args:
        size: height and width of a window.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size

    def forward(self, signal: Signal) -> Signal:
        return signal.with_values(fold(signal.values, lambda x: F.avg_pool2d(x, self.size)))


class Flatten(nn.Module):
    """Flatten everything behind time and batch: ``(T, B, C, H, W) -> (T, B, C*H*W)``."""

    def forward(self, signal: Signal) -> Signal:
        coefficient = signal.coefficient
        if coefficient is not None and coefficient.dim() == 2 and coefficient.shape[1] > 1:
            coefficient = coefficient.repeat_interleave(math.prod(signal.values.shape[3:]), dim=1)
        return replace(signal, values=signal.values.flatten(2), coefficient=coefficient)


class Dropout(nn.Module):
    """Dropout with one mask for all time steps of a sample, so that a dropped neuron is silent throughout.

    In training the rest is scaled by ``1 / (1 - p)``; in eval mode it does nothing.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, signal: Signal) -> Signal:
        if not self.training or self.p == 0:
            return signal
        mask = F.dropout(torch.ones_like(signal.values[:1]), self.p)
        return signal.with_values(signal.values * mask)


class Add(Counted):
    """Sum of two edges: a shortcut and what it goes around.

    Spikes that meet stay events: the sum of two spiking edges without coefficients, or with the same one, counts
    them; a positive and a negative one cancel. Any other sum is analog. Edges with different delays are aligned by
    buffering the earlier one.

    Raises:
        ValueError: behind average pooling, where values are no spikes any more.
    """

    role = "residual"

    def forward(self, first: Signal, second: Signal) -> Signal:
        if first.events is not None or second.events is not None:
            raise ValueError("a sum behind average pooling has no op count: put a spiking site between them")
        delay = max(first.delay, second.delay)
        if _merge(first, second):
            signed = {first.kind, second.kind} & {Kind.TERNARY, Kind.SIGNED}
            kind = Kind.SIGNED if signed else Kind.COUNT
            return Signal(
                first.values + second.values, first.steps, kind, first.coefficient, delay, changes=first.changes
            )
        return Signal(first.decoded() + second.decoded(), first.steps, Kind.ANALOG, delay=delay)

    def operations(self, first: Signal, second: Signal) -> Operations:
        """An addition per value and step, at every step once the sum varies; merging events is free."""
        if _merge(first, second):
            return Operations()
        done = Operations(adds=max(first.decoded().numel(), second.decoded().numel()))
        return done + first.accumulation(first.values[0, 0].numel()) + second.accumulation(second.values[0, 0].numel())


def _merge(first: Signal, second: Signal) -> bool:
    events = (Kind.BINARY, Kind.TERNARY, Kind.COUNT, Kind.SIGNED)
    alike = first.coefficient is second.coefficient and first.changes == second.changes
    return first.kind in events and second.kind in events and alike


class Unflatten(nn.Module):
    """Turn currents of neurons in a row into maps: ``(T, B, C*H*W) -> (T, B, C, H, W)``."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, current: Signal) -> Signal:
        return current.current(current.decoded().unflatten(2, self.shape))


__all__ = [
    "Add",
    "AvgPool",
    "Counted",
    "Dropout",
    "Flatten",
    "Kind",
    "MaxPool",
    "Synapse",
    "Unflatten",
    "Weight",
    "counting",
    "fold",
    "in_bf16",
    "uncounted",
]
