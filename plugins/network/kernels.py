"""Kernels of the membrane recurrence over all time steps: source for numba, which compiles it once per machine.

Two functions cover every built-in neuron, by the numbers in ``CALL``. Neurons are dealt with in tiles, each over all
time steps while it is in the cache; the threads of a call take tiles until none is left. Rounding follows the torch
form, operation by operation, and nothing is reassociated, so that spikes are the same bit for bit.

This module is imported where kernels are compiled, in a process of its own; ``native`` loads the machine code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from numba import njit, types

from spikefront.plugins.network.compiler import KERNEL, SIGNATURE, call_at, emit, floats, octets, take, two_to
from spikefront.plugins.network.native import ENTRIES, TILE
from spikefront.plugins.network.pool_kernels import pool, pool_row, unpool

_NUMBER: Final = types.float32
_OCTET: Final = types.uint8


@njit(inline="always")
def _row(address: int, row: int, stride: int, first: int) -> Any:
    return floats(address + 4 * (row * stride + first))


@njit(inline="always")
def _rules(c: Any) -> Any:
    return c.decay != 0, c.hard != 0, c.ternary != 0, c.rectified != 0, c.centred != 0


@njit(inline="always")
def _charge_and_fire(
    c: Any, first: int, count: int, potential: int, h_stride: int, h_first: int, spikes: int, s_stride: int,
    s_first: int, rows: Any,
) -> None:  # fmt: skip
    """Write potentials and spikes of a tile at all time steps, to rows from these addresses on.

    Args:
        c: the call.
        first: the first neuron.
        count: number of neurons.
        potential: address of the first step's potentials.
        h_stride: elements from one step to the next.
        h_first: elements before the first neuron.
        spikes: as ``potential``, of the spikes.
        s_stride: as ``h_stride``, of the spikes.
        s_first: as ``h_first``, of the spikes.
        rows: room for three numbers of each neuron: V, the adaptation A, and the number emitted so far, O.
    """
    zero, one = _NUMBER(0), _NUMBER(1)
    steps, silent, current, x_stride = c.steps, c.silent, c.current, c.current_stride
    decay, hard, ternary, rectified, centred = _rules(c)
    leak, keep, start, base, b, rho, spread = c.leak, c.keep, c.start, c.base, c.adaptation, c.rho, c.spread
    fires, losses = floats(c.fires), floats(c.losses)
    plain = (b == zero) & (not rectified) & (silent == 0)  # nothing but V is carried from step to step
    before, raised, emitted = rows
    for k in range(count):
        before[k] = start
        raised[k] = zero
        emitted[k] = zero
    for n in range(steps if plain else 0):
        h, x = _row(potential, n, h_stride, h_first), _row(current, n, x_stride, first)
        s = _row(spikes, n, s_stride, s_first)
        fire, loss = fires[n], losses[n]
        for k in range(count):
            v = before[k]
            v = (x[k] - v) * leak + v if decay else v * keep + x[k]
            negative = (v <= -fire) & ternary
            y = (one if v >= fire else zero) - (one if negative else zero)
            s[k] = y
            before[k] = v - (v * abs(y) if hard else loss * y)
            h[k] = v - fire if centred else v
    for n in range(0 if plain else steps + silent):
        h = _row(potential, n, h_stride, h_first)
        x = _row(current, min(n, steps - 1), x_stride, first)
        if n >= steps:
            for k in range(count):
                h[k] = before[k] * keep
        elif decay:
            for k in range(count):
                v = before[k]
                h[k] = (x[k] - v) * leak + v
        else:
            for k in range(count):
                h[k] = before[k] * keep + x[k]
        if n < silent:
            for k in range(count):
                before[k] = h[k]
            continue
        s = _row(spikes, n - silent, s_stride, s_first)
        fire, loss = fires[n - silent], losses[n - silent]
        for k in range(count):
            v, a = h[k], raised[k]
            f, o = a * b + fire, emitted[k] * base
            negative = (v <= -f) & ternary & ((o >= one) | (not rectified))
            y = (one if v >= f else zero) - (one if negative else zero)
            s[k] = y
            emitted[k] = o + y
            raised[k] = a * rho + y * spread
            before[k] = v - (v * abs(y) if hard else (a * b + loss) * y)
            h[k] = v - f if centred else v


@njit(SIGNATURE, **KERNEL)
def spike(call: Any) -> None:
    """Write spikes of all time steps, and potentials where they are held."""
    c = call_at(call)
    neurons = c.neurons
    room = c.scratch + 4 * take(c.slots) * c.scratch_stride
    rows = _row(room, 0, TILE, 0), _row(room, 1, TILE, 0), _row(room, 2, TILE, 0)
    held = c.potential != 0
    potential, h_stride = (c.potential if held else room + 12 * TILE), (c.potential_stride if held else 0)
    while True:
        first = take(c.tiles) * TILE
        if first >= neurons:
            break
        h_first = first if held else 0
        _charge_and_fire(
            c, first, min(TILE, neurons - first), potential, h_stride, h_first, c.spikes, c.spikes_stride, first, rows
        )


@njit(SIGNATURE, **KERNEL)
def spike_pooled(call: Any) -> None:
    """Write the maximum of each window of spikes, at all time steps, and which of its values it is.

    Threads take rows of outputs; the spikes behind one stay in the cache and are not written.
    """
    c = call_at(call)
    room = c.scratch + 4 * take(c.slots) * c.scratch_stride
    rows = _row(room, 0, TILE, 0), _row(room, 1, TILE, 0), _row(room, 2, TILE, 0)
    spikes = room + 16 * TILE
    line, band = c.out_columns * c.channels, c.size * c.columns * c.channels
    while True:
        n = take(c.tiles)
        if n >= c.batch * c.out_rows:
            break
        image, down = n // c.out_rows, n % c.out_rows
        first = (image * c.rows + down * c.size) * c.columns * c.channels
        for start in range(0, band, TILE):
            count = min(TILE, band - start)
            _charge_and_fire(c, first + start, count, room + 12 * TILE, 0, 0, spikes, band, start, rows)
        for t in range(c.steps):
            at = ((t * c.batch + image) * c.out_rows + down) * line
            places = c.places + at if c.places != 0 else 0
            pool_row(spikes + 4 * t * band, c.pooled + 4 * at, places, c.size, c.columns, c.out_columns, c.channels)


@njit(inline="always")
def _quotient(x: Any, c: Any) -> Any:
    size = abs(x)
    top = c[3] if x < c[6] else c[7]
    top = top - c[4] * size
    top = top if top > c[6] else c[6]
    return (top if size < c[5] else c[6]) / (c[0] + c[1] * size + c[2] * (size * size))


@njit(inline="always")
def _exponential(x: Any, c: Any) -> Any:
    size = abs(x)
    z = -(c[1] * size + c[2] * (size * size))
    z = z if z > _NUMBER(-87) else _NUMBER(-87)
    n = (z * _NUMBER(1.44269504) + _NUMBER(12582912)) - _NUMBER(12582912)  # rounded: no fraction is left at 2^23
    r = (z - n * _NUMBER(0.693359375)) + n * _NUMBER(2.12194440e-4)  # z - n log 2
    e = _NUMBER(1.9875691500e-4) * r + _NUMBER(1.3981999507e-3)
    e = e * r + _NUMBER(8.3334519073e-3)
    e = e * r + _NUMBER(4.1665795894e-2)
    e = e * r + _NUMBER(1.6666665459e-1)
    e = e * r + _NUMBER(5.0000001201e-1)
    e = ((e * (r * r) + r) + _NUMBER(1)) * two_to(n)
    below = _NUMBER(1) + c[3] * e
    return c[0] * e / (below * below)


@njit(inline="always")
def _before(h: Any, g: Any, gv: Any, slope: Any, fire: Any, loss: Any, hard: Any, attached: Any) -> Any:
    """Return the gradient of H of a neuron that has nothing but V, given that of the V that H becomes."""
    zero = _NUMBER(0)
    through = gv * (((h + fire) if hard else loss) * slope) if attached else zero
    return slope * g - through + (zero if (h >= zero) & hard else gv)


@njit(inline="always")
def _unpooled(c: Any, t: int, first: int, count: int, row: Any) -> None:
    """Write the gradient of so many neurons' spikes at a step from that of the pooling, a pixel at a time."""
    zero, channels, size, apart = _NUMBER(0), c.channels, c.size, c.by_channel
    pixel, channel = first // channels, first % channels
    line, right = pixel // c.columns, pixel % c.columns
    image, down = t * c.batch + line // c.rows, line % c.rows
    across, inner, below, lower = right // size, right % size, down // size, down % size  # counted on: division is slow
    k = 0
    while k < count:
        many = min(channels - channel, count - k)
        if (across < c.out_columns) & (below < c.out_rows):
            which = _OCTET(lower * size + inner)
            g = floats(c.pooled + 4 * (image * c.by_image + below * c.by_row + across * c.by_column + channel * apart))
            place = octets(c.places + ((image * c.out_rows + below) * c.out_columns + across) * channels + channel)
            if apart == 1:
                for n in range(many):
                    v = g[n]
                    row[k + n] = v if place[n] == which else zero
            else:
                for n in range(many):
                    v = g[n * apart]
                    row[k + n] = v if place[n] == which else zero
        else:
            for n in range(many):
                row[k + n] = zero
        k, channel, right, inner = k + many, 0, right + 1, inner + 1
        if inner == size:
            inner, across = 0, across + 1
        if right == c.columns:
            right, inner, across, down, lower = 0, 0, 0, down + 1, lower + 1
            if lower == size:
                lower, below = 0, below + 1
            if down == c.rows:
                down, lower, below, image = 0, 0, 0, image + 1


@njit(SIGNATURE, **KERNEL)
def learn(call: Any) -> None:
    """Write the gradient of the current, given those of the spikes and the derivatives at the potentials.

    Potentials that are not held are computed again from the current, a tile at a time.
    """
    c = call_at(call)
    zero, one = _NUMBER(0), _NUMBER(1)
    neurons, steps, silent = c.neurons, c.steps, c.silent
    current, x_stride, held = c.current, c.current_stride, c.potential != 0
    gradient, g_stride, result, r_stride = c.spikes, c.spikes_stride, c.result, c.result_stride
    upper, lower, slope_stride = c.upper, c.lower, c.slope_stride
    decay, hard, ternary, rectified, centred = _rules(c)
    attached, constant, learnt, adaptive = c.attached != 0, c.constant != 0, c.learnt != 0, c.adaptation != zero
    keep, start, base, b, rho, spread = c.keep, c.start, c.base, c.adaptation, c.rho, c.spread
    gain, unit, margin, scaled = c.gain, c.unit, c.margin, c.unit != one
    quotient, exponential = c.quotient != 0, c.exponential != 0
    share = one / unit
    terms = (c.constant_term, c.linear_term, c.square_term, c.below, c.fall, c.width, zero, one)
    bell = (c.height, c.rate, c.curve, c.bend)
    fires, losses = floats(c.fires), floats(c.losses)
    plain = (quotient | exponential) & centred & (not adaptive) & (silent == 0)
    room = c.scratch + 4 * take(c.slots) * c.scratch_stride
    after = _row(room, 0, TILE, 0)  # gradient of H of the step after
    on_raised, of_leak = _row(room, 1, TILE, 0), _row(room, 2, TILE, 0)  # gradients of A and of the leak
    state, up_row, down_row = _row(room, 3, TILE, 0), _row(room, 4, TILE, 0), _row(room, 5, TILE, 0)
    unpooled, pooled, offset = _row(room, 6, TILE, 0), c.pooled != 0, c.offset
    kept_at, kept_stride = room + 28 * TILE, 0  # A, or base O, at each step
    again = kept_at + 4 * TILE * steps  # potentials that are not held
    potential, h_stride = (c.potential if held else again), (c.potential_stride if held else TILE)
    if adaptive or rectified:
        kept_stride = TILE
    while True:
        tile = take(c.tiles)
        first = tile * TILE
        if first >= neurons:
            break
        count = min(TILE, neurons - first)
        h_first = first if held else 0
        if not held:
            _charge_and_fire(c, first, count, again, TILE, 0, room + 12 * TILE, 0, 0, (after, on_raised, of_leak))
        for k in range(count):
            after[k] = zero
            on_raised[k] = zero
            of_leak[k] = zero
            state[k] = zero
        if constant:
            out = _row(result, 0, r_stride, first)
            for k in range(count):
                out[k] = zero
        if kept_stride == 0:
            kept = _row(kept_at, 0, 0, 0)
            for k in range(count):
                kept[k] = zero
        else:  # again what was carried from step to step
            for t in range(steps):
                h = _row(potential, t + silent, h_stride, h_first)
                kept = _row(kept_at, t, kept_stride, 0)
                fire = fires[t]
                for k in range(count):
                    a = state[k] * base if rectified else state[k]
                    kept[k] = a
                    f = a * b + fire
                    positive = h[k] >= zero if centred else h[k] >= f
                    negative = (not centred) & (h[k] <= -f) & ternary & (a >= one)
                    y = (one if positive else zero) - (one if negative else zero)
                    state[k] = a + y if rectified else a * rho + y * spread
        for back in range(steps + silent):
            n = steps + silent - 1 - back
            t = n - silent
            h = _row(potential, n, h_stride, h_first)
            g = unpooled if pooled else _row(gradient, t, g_stride, first)
            if pooled & (t >= 0):
                _unpooled(c, t, offset + first, count, unpooled)
            if t < 0:
                for k in range(count):
                    after[k] *= keep
            elif plain:
                fire, loss = fires[t], losses[t]
                if exponential:
                    for k in range(count):
                        slope = _exponential(h[k], bell)
                        after[k] = _before(h[k], g[k], after[k] * keep, slope, fire, loss, hard, attached)
                else:
                    for k in range(count):
                        slope = _quotient(h[k], terms)
                        after[k] = _before(h[k], g[k], after[k] * keep, slope, fire, loss, hard, attached)
            else:
                if quotient or exponential:
                    up, down = up_row, down_row
                else:
                    up, down = _row(upper, t, slope_stride, first), _row(lower, t, slope_stride, first)
                kept = _row(kept_at, t, kept_stride, 0)
                fire, loss = fires[t], losses[t]
                if quotient and centred:
                    for k in range(count):
                        up[k] = _quotient(h[k], terms)
                elif quotient:
                    for k in range(count):
                        v = h[k] / unit if scaled else h[k]
                        m = margin if scaled else fire
                        up[k] = _quotient(v - m, terms)
                        down[k] = _quotient(-v - m, terms)
                elif exponential and centred:
                    for k in range(count):
                        up[k] = _exponential(h[k], bell)
                elif exponential:
                    for k in range(count):
                        v = h[k] / unit if scaled else h[k]
                        m = margin if scaled else fire
                        up[k] = _exponential(v - m, bell)
                        down[k] = _exponential(-v - m, bell)
                for k in range(count):
                    a = kept[k]
                    more = a * b
                    f = more + fire
                    allowed = (a >= one) | (not rectified)
                    v = h[k] + f if centred else h[k]
                    positive = h[k] >= zero if centred else h[k] >= f
                    negative = (not centred) & (h[k] <= -f) & ternary & allowed
                    y = (one if positive else zero) - (one if negative else zero)
                    d = down[k] if ternary & allowed else zero
                    slope = (up[k] + d) * share  # of the spike
                    size = (up[k] - d) * share  # of its absolute value
                    gv, ga = after[k] * keep, on_raised[k]
                    through = gv * (v * size if hard else (more + loss) * slope) if attached else zero
                    part = slope * (g[k] + spread * ga) - through
                    on_raised[k] = rho * ga - b * part - (b * gv * y if attached and not hard else zero)
                    after[k] = part + gv - (gv * abs(y) if hard else zero)
            if learnt:  # without a silent period
                x = _row(current, n, x_stride, first)
                h = _row(potential, max(n - 1, 0), h_stride, h_first)
                fire, loss = fires[max(n - 1, 0)], losses[max(n - 1, 0)]
                for k in range(count):
                    v = h[k] + fire if centred else h[k]
                    positive = h[k] >= zero if centred else h[k] >= fire
                    negative = (not centred) & (h[k] <= -fire) & ternary
                    y = (one if positive else zero) - (one if negative else zero)
                    w = v - (v * abs(y) if hard else loss * y) if n > 0 else start
                    of_leak[k] += after[k] * ((x[k] if decay else zero) - w)
            if n < steps:
                out = _row(result, n, r_stride, first)
                if constant:
                    for k in range(count):
                        out[k] += after[k] * gain
                else:
                    for k in range(count):
                        out[k] = after[k] * gain
        if learnt:
            of_tile = types.float64(0)
            for k in range(count):
                of_tile += of_leak[k]
            floats(c.on_leak)[tile] = _NUMBER(of_tile)


def write(path: Path) -> None:
    """Compile for this processor and write the object code."""
    path.write_bytes(emit([spike, learn, pool, unpool, spike_pooled], ENTRIES))
