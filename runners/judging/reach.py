"""Reach of convolutions and pooling: the outputs that each input contributes to.

Zero-padded windows are separable: an input reaches an output if its row does and its column does. A boolean matrix per
axis is therefore enough, and layers without weights, such as average pooling, compose by a boolean product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def window_reach(size_in: int, size_out: int, *, kernel: int, stride: int, padding: int, dilation: int = 1) -> Tensor:
    """Return which inputs reach which outputs along one axis.

    Args:
        size_in: inputs along the axis.
        size_out: outputs along the axis.
        kernel: size of the window.
        stride: distance of neighbouring windows.
        padding: zeros in front of the first input.
        dilation: distance of neighbouring taps.

    Returns:
        Boolean ``(size_out, size_in)``.
    """
    offset = torch.arange(size_in) + padding - stride * torch.arange(size_out).unsqueeze(1)
    return (offset >= 0) & (offset % dilation == 0) & (offset < kernel * dilation)


def conv_reach(
    conv: nn.Conv2d | nn.ConvTranspose2d, size_in: tuple[int, int], size_out: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the reach of a convolution along rows and columns.

    A transposed convolution reaches the outputs that a convolution of the same kernel, from its output to its input,
    would read; outputs that ``output_padding`` adds may be reached by no input.

    Raises:
        ValueError: for padding with other values than zeros.
    """
    if conv.padding_mode != "zeros":
        raise ValueError(f"operations are counted for zero padding, not padding_mode={conv.padding_mode!r}")
    transposed = isinstance(conv, nn.ConvTranspose2d)
    rows, columns = (
        window_reach(
            *((size_out[axis], size_in[axis]) if transposed else (size_in[axis], size_out[axis])),
            kernel=conv.kernel_size[axis],
            stride=conv.stride[axis],
            padding=_padding_in_front(conv, axis),
            dilation=conv.dilation[axis],
        )
        for axis in (0, 1)
    )
    return (rows.T, columns.T) if transposed else (rows, columns)


def _padding_in_front(conv: nn.Conv2d | nn.ConvTranspose2d, axis: int) -> int:
    if conv.padding == "same":  # the odd zero of an even kernel is at the end
        return conv.dilation[axis] * (conv.kernel_size[axis] - 1) // 2
    if conv.padding == "valid":
        return 0
    padding = conv.padding[axis]
    assert isinstance(padding, int)
    return padding


def compose(behind: Tensor, front: Tensor) -> Tensor:
    """Return the reach of two consecutive layers, ``(out, middle)`` after ``(middle, in)``: by any path."""
    return (behind.int() @ front.int()) > 0
