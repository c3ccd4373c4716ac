"""Max pooling over windows that do not overlap, at native speed where it can be had.

torch keeps 8 bytes for each output, and in the backward pass fills the gradient with zeros first; for values of which
the channel is the last in memory it copies, besides. Here an output keeps one byte, and a gradient is written once.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikefront.plugins.network.native import Kernels, kernels_for

_LARGEST = 16
"""Side of the largest window whose values a byte tells apart."""


def max_pool(values: Tensor, size: int) -> Tensor:
    """Return the maximum of each window of ``size`` x ``size``; what does not fill one at the edge is left out.

    Args:
        values: maps ``(N, C, H, W)``.
        size: side of a window.

    Returns:
        Maxima ``(N, C, H // size, W // size)``, in the layout of ``values``.
    """
    fits = values.dim() == 4 and 2 <= size <= min(_LARGEST, *values.shape[2:])
    if not fits or not values.is_contiguous(memory_format=torch.channels_last) or not (code := kernels_for(values)):
        return F.max_pool2d(values, size)
    pooled: Tensor = _MaxPool.apply(values, size, code, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
    return pooled


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, size: int, code: Kernels, recording: bool) -> Tensor:
        images, channels, height, width = values.shape
        pooled = values.new_empty((images, height // size, width // size, channels))
        learnt = recording and ctx.needs_input_grad[0]
        places = torch.empty(pooled.shape if learnt else 0, dtype=torch.uint8)
        shape = {
            "images": images,
            "channels": channels,
            "height": height,
            "width": width,
            "out_height": height // size,
            "out_width": width // size,
            "size": size,
        }
        code.pool(
            **shape,
            values=values.data_ptr(),
            pooled=pooled.data_ptr(),
            places=places.data_ptr() if learnt else 0,
        )
        if learnt:
            ctx.save_for_backward(places)
            ctx.rule = (shape, code)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (places,) = ctx.saved_tensors
        shape, code = ctx.rule
        result = gradient.new_empty([shape[name] for name in ("images", "height", "width", "channels")])
        strides = zip(("by_image", "by_channel", "by_row", "by_column"), gradient.stride(), strict=True)
        code.unpool(
            **shape,
            **dict(strides),
            values=result.data_ptr(),
            pooled=gradient.data_ptr(),
            places=places.data_ptr(),
        )
        return result.permute(0, 3, 1, 2), None, None, None
