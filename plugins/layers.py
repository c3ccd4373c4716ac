"""Stateless layers on signals: they fold time into the batch, so T steps cost one call.

Each is a module from ``Signal`` to ``Signal``; the op counter listens to these classes and to ``Site``, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins.signal import Kind, Signal, over_time


def fold(values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``function`` to time and batch as one: ``(T, B, ...) -> (T*B, ...) -> (T, B, ...)``."""
    folded: Tensor = function(values.flatten(0, 1)).unflatten(0, values.shape[:2])
    return folded


class Synapse(nn.Module):
    """A weight layer, with the batch norm that follows it.

    Computes ``norm(coefficient[t] * (W x[t]) + bias)``, applying the signal's coefficient on whichever side of W has
    fewer values. In eval mode the norm is folded into the weights, as it is on hardware.

    Shape:
        Input: ``(T, B, ...)``, or ``(1, B, ...)`` for a constant signal. Output: the same leading axes.

    Args:
        weight: an ``nn.Conv2d`` or ``nn.Linear``.
        norm: the batch norm of its output, or None.
    """

    def __init__(self, weight: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.norm = norm

    def forward(self, signal: Signal) -> Signal:
        values, coefficient = signal.values, signal.coefficient
        if coefficient is not None and self._narrows(values):
            values, coefficient = signal.decoded(), None
        return signal.current(self._transform(values, coefficient))

    def _narrows(self, values: Tensor) -> bool:
        """Say whether the input has fewer values than the output, so that weighting it is cheaper."""
        if isinstance(self.weight, nn.Linear):
            return self.weight.in_features < self.weight.out_features
        return self.weight.in_channels < self.weight.out_channels

    def _transform(self, values: Tensor, coefficient: Tensor | None) -> Tensor:
        if self.training or self.norm is None:
            weight, bias, norm = self.weight.weight, self.weight.bias, self.norm
        else:
            weight, bias = self.folded()
            norm = None
        if coefficient is None:
            out = fold(values, lambda x: self._map(x, weight, bias))
        else:  # the bias is not weighted, so it is added after the coefficient
            out = fold(values, lambda x: self._map(x, weight, None))
            out = out * over_time(coefficient, out)
            if bias is not None:
                out = out + bias.view(-1, *[1] * (out.dim() - 3))
        return out if norm is None else fold(out, norm)

    def _map(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(self.weight, nn.Linear):
            return F.linear(values, weight, bias)
        out: Tensor = self.weight._conv_forward(values, weight, bias)
        return out

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
        return self.weight.weight * scale.view(-1, *[1] * (self.weight.weight.dim() - 1)), bias


class MaxPool(nn.Module):
    """Max pooling of spikes: an OR over each window, so the edge keeps its kind and coefficient.

    The coefficient is not part of the comparison: a spike is a spike whatever its step is worth.

    Raises:
        ValueError: behind average pooling, where values are no spikes any more.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, signal: Signal) -> Signal:
        if signal.events is not None:
            raise ValueError("max pooling behind average pooling has no op count: put a spiking site between them")
        return signal.with_values(fold(signal.values, lambda x: F.max_pool2d(x, self.size)))


class AvgPool(nn.Module):
    """Average pooling.

    Linear, so on hardware it folds into the next synapse, which is charged for the events that come into the pooling.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, signal: Signal) -> Signal:
        return signal.with_values(fold(signal.values, lambda x: F.avg_pool2d(x, self.size)))


class Flatten(nn.Module):
    """Flatten everything behind time and batch: ``(T, B, C, H, W) -> (T, B, C*H*W)``."""

    def forward(self, signal: Signal) -> Signal:
        return signal.with_values(signal.values.flatten(2))


__all__ = ["AvgPool", "Flatten", "Kind", "MaxPool", "Synapse", "fold"]
