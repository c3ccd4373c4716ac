"""Kernels of max pooling over windows that do not overlap: source for numba, as ``kernels`` is.

Values lie channel by channel within a pixel (channels last). Of equal values in a window the first counts, row by row,
as in torch. Threads take rows of outputs until none is left.
"""

from __future__ import annotations

from typing import Any, Final

from numba import njit, types

from spikefront.plugins.network.compiler import KERNEL, SIGNATURE, floats, octets, pool_call_at, take

_NUMBER: Final = types.float32
_OCTET: Final = types.uint8


@njit(inline="always")
def pool_row(values: int, pooled: int, places: int, size: int, width: int, columns: int, channels: int) -> None:
    """Write the maximum of each window of ``size`` rows of values, and which of its values it is.

    Args:
        values: address of the first row, of so many pixels; the others follow.
        pooled: address of the row of outputs.
        places: address of the row of places; 0 for none.
        size: side of a window.
        width: pixels of a row of values.
        columns: outputs of a row.
        channels: values of a pixel.
    """
    learnt = places != 0
    for right in range(columns):
        at, first = right * channels, right * size * channels
        out, x = floats(pooled + 4 * at), floats(values + 4 * first)
        place = octets(places + at if learnt else pooled + 4 * at)
        if size == 2:
            beside, below = channels, width * channels
            across = beside + below
            for k in range(channels):
                best, which = x[k], _OCTET(0)
                v = x[beside + k]
                more = (v > best) | (v != v)
                best, which = (v if more else best), (_OCTET(1) if more else which)
                v = x[below + k]
                more = (v > best) | (v != v)
                best, which = (v if more else best), (_OCTET(2) if more else which)
                v = x[across + k]
                more = (v > best) | (v != v)
                best, which = (v if more else best), (_OCTET(3) if more else which)
                if learnt:
                    place[k] = which
                out[k] = best
            continue
        for k in range(channels):
            out[k] = x[k]
        if learnt:
            for k in range(channels):
                place[k] = _OCTET(0)
        for n in range(1, size * size):
            other = floats(values + 4 * (first + (n // size * width + n % size) * channels))
            for k in range(channels):
                v = other[k]
                more = (v > out[k]) | (v != v)
                out[k] = v if more else out[k]
                if learnt:
                    place[k] = _OCTET(n) if more else place[k]


@njit(SIGNATURE, **KERNEL)
def pool(call: Any) -> None:
    """Write the maximum of each window and which of its values it is."""
    c = pool_call_at(call)
    channels, width, size = c.channels, c.columns, c.size
    while True:
        row = take(c.tiles)  # of all images' outputs
        if row >= c.images * c.out_rows:
            break
        at = row * c.out_columns * channels
        first = (row // c.out_rows * c.rows + row % c.out_rows * size) * width * channels
        places = c.places + at if c.places != 0 else 0
        pool_row(c.values + 4 * first, c.pooled + 4 * at, places, size, width, c.out_columns, channels)


@njit(SIGNATURE, **KERNEL)
def unpool(call: Any) -> None:
    """Write the gradient of all values, of which one in each window has that of the output."""
    c = pool_call_at(call)
    zero, first = _NUMBER(0), _OCTET(0)
    channels, width, size, apart = c.channels, c.columns, c.size, c.by_channel
    covered = c.out_columns * size
    while True:
        row = take(c.tiles)
        if row >= c.images * c.out_rows:
            break
        image, down = row // c.out_rows, row % c.out_rows
        top = image * c.rows + down * size  # row of all images' values
        for right in range(c.out_columns):
            g = floats(c.pooled + 4 * (image * c.by_image + down * c.by_row + right * c.by_column))
            place = octets(c.places + (row * c.out_columns + right) * channels)
            corner = floats(c.values + 4 * (top * width + right * size) * channels)
            for k in range(channels):  # the first of the window holds it for the others
                corner[k] = g[k * apart]
            for n in range(1, size * size):
                out = floats(c.values + 4 * ((top + n // size) * width + right * size + n % size) * channels)
                which = _OCTET(n)
                for k in range(channels):
                    out[k] = corner[k] if place[k] == which else zero
            for k in range(channels):
                corner[k] = corner[k] if place[k] == first else zero
        for n in range(size):  # columns behind the last window
            out = floats(c.values + 4 * ((top + n) * width + covered) * channels)
            for k in range((width - covered) * channels):
                out[k] = zero
        if down == c.out_rows - 1:  # rows below it
            out = floats(c.values + 4 * (top + size) * width * channels)
            for k in range((c.rows - c.out_rows * size) * width * channels):
                out[k] = zero
