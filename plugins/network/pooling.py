"""Max pooling over windows that do not overlap, at native speed where it can be had.

torch keeps 8 bytes for each output, and in the backward pass fills the gradient with zeros first; for values of which
the channel is the last in memory it copies, besides. Here an output keeps one byte, and a gradient is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikefront.plugins.network.native import Kernels, kernels_for

_LARGEST = 16
"""Side of the largest window whose values a byte tells apart."""


@dataclass(frozen=True, slots=True)
class PooledGradient:
    """Gradient of the values of a max pooling, as that of its outputs.

    Attributes:
        gradient: that of the outputs, ``(N, C, H // size, W // size)``.
        places: which value of its window each output is, ``(N, H // size, W // size, C)``.
        shape: of the pooling, as the kernels take it.
    """

    gradient: Tensor
    places: Tensor
    shape: Mapping[str, int]

    def call(self) -> dict[str, Any]:
        """Return it as a kernel takes it."""
        strides = zip(("by_image", "by_channel", "by_row", "by_column"), self.gradient.stride(), strict=True)
        return {**self.shape, **dict(strides), "pooled": self.gradient.data_ptr(), "places": self.places.data_ptr()}

    def written(self, code: Kernels) -> Tensor:
        """Return the gradient of the values, ``(N, C, H, W)``, channels last."""
        result = self.gradient.new_empty([self.shape[name] for name in ("images", "rows", "columns", "channels")])
        code.unpool(**self.call(), values=result.data_ptr())
        return result.permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Tap:
    """Way from a pooling back to the neurons whose spikes it pools, beside the gradient of the spikes.

    The neurons take what is left in it, when all behind them have had their backward pass, and so write no gradient of
    spikes that only one of four passes on.

    Attributes:
        edge: output of the neurons without values, for the order of the backward pass.
        left: gradients for the neurons.
    """

    edge: Tensor
    left: list[PooledGradient]

    @staticmethod
    def of(values: Tensor) -> Tap | None:
        """Return that of the neurons that emitted these values; None of any other tensor."""
        return getattr(values, "tap", None)


def window_shape(batch: int, channels: int, rows: int, columns: int, size: int) -> dict[str, int]:
    """Return the sizes of a pooling of so many maps, as the kernels take them."""
    shape = {"images": batch, "channels": channels, "rows": rows, "columns": columns, "size": size}
    return {**shape, "out_rows": rows // size, "out_columns": columns // size}


def fits(maps: Tensor, size: int) -> bool:
    """Return whether the kernels pool maps ``(N, C, H, W)`` over such windows: they lie channels last."""
    room = maps.dim() == 4 and 2 <= size <= min(_LARGEST, *maps.shape[2:])
    return room and maps.is_contiguous(memory_format=torch.channels_last)


def max_pool(values: Tensor, size: int, tap: Tap | None = None) -> Tensor:
    """Return the maximum of each window of ``size`` x ``size``; what does not fill one at the edge is left out.

    Args:
        values: maps ``(N, C, H, W)``.
        size: side of a window.
        tap: that of the neurons, if the values are their spikes.

    Returns:
        Maxima ``(N, C, H // size, W // size)``, in the layout of ``values``.
    """
    if not fits(values, size) or not (code := kernels_for(values)):
        return F.max_pool2d(values, size)
    edge, left = (values, None) if tap is None else (tap.edge, tap.left)
    pooled: Tensor = _MaxPool.apply(  # type: ignore[no-untyped-call]
        edge, values.detach(), size, code, torch.is_grad_enabled(), left
    )
    return pooled


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        edge: Tensor,
        values: Tensor,
        size: int,
        code: Kernels,
        recording: bool,
        left: list[PooledGradient] | None,
    ) -> Tensor:
        images, channels, rows, columns = values.shape
        pooled = values.new_empty((images, rows // size, columns // size, channels))
        learnt = recording and ctx.needs_input_grad[0]
        places = torch.empty(pooled.shape if learnt else 0, dtype=torch.uint8)
        shape = window_shape(images, channels, rows, columns, size)
        code.pool(
            **shape,
            values=values.data_ptr(),
            pooled=pooled.data_ptr(),
            places=places.data_ptr() if learnt else 0,
        )
        if learnt:
            ctx.save_for_backward(places)
            ctx.rule = (shape, code, left)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (places,) = ctx.saved_tensors
        shape, code, left = ctx.rule
        found = PooledGradient(gradient, places, shape)
        if left is None:
            return found.written(code), None, None, None, None, None
        left.append(found)
        return gradient.new_empty(0), None, None, None, None, None
