"""Kernels of the membrane recurrence for GPUs, in Triton's language: forward and backward, for all time steps.

A program has ``BLOCK`` neurons, whose state stays in registers from step to step; the numbers and rules are those of
``recurrence.Recurrence``, and so is the order of rounding: nothing is contracted to a fused multiplication and
addition, so that spikes are those of the torch form. State is float32, whatever the type of the current.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

BLOCK: Final = 512
"""Neurons of a program: four of each of its 128 threads, which read 16 bytes at a time."""


@triton.jit(do_not_specialize=["steps"])
def spike(
    current, current_stride, potential, potential_stride, spikes, spikes_stride, learnt_leak, table,
    neurons, steps, leak, keep, start, base, adaptation, rho, spread, fire, loss,
    silent: tl.constexpr, decay: tl.constexpr, hard: tl.constexpr, ternary: tl.constexpr, rectified: tl.constexpr,
    centred: tl.constexpr, adaptive: tl.constexpr, learnt: tl.constexpr, varies: tl.constexpr, held: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """Write the spikes of all time steps and, if they are held, the potentials."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < neurons
    current += place
    potential += place
    spikes += place
    if learnt:
        leak = tl.load(learnt_leak)
        keep = 1.0 - leak
    before = tl.full([block], 0.0, tl.float32) + start  # V of the step before
    raised = tl.full([block], 0.0, tl.float32)  # adaptation A
    emitted = tl.full([block], 0.0, tl.float32)  # number emitted so far, O
    for n in tl.static_range(silent):
        x = tl.load(current, mask=inside & (n < steps), other=0.0).to(tl.float32)
        before = before * keep + x
        if held:
            tl.store(potential, before, mask=inside)
            potential += potential_stride
        current += current_stride
    for t in range(steps):
        x = tl.load(current, mask=inside & (t + silent < steps), other=0.0).to(tl.float32)
        h = (x - before) * leak + before if decay else before * keep + x
        if varies:
            fire = tl.load(table + t)
            loss = tl.load(table + steps + t)
        if adaptive:
            more = raised * adaptation
            threshold, taken = more + fire, more + loss
        else:
            threshold, taken = fire, loss
        s = (h >= threshold).to(tl.float32)
        if ternary:
            negative = h <= -threshold
            if rectified:
                emitted *= base
                negative = negative & (emitted >= 1.0)
            s -= negative.to(tl.float32)
            emitted += s
        if adaptive:
            raised = raised * rho + s * spread
        before = h - h * tl.abs(s) if hard else h - taken * s
        tl.store(spikes, s, mask=inside)
        if held:
            if centred:
                h = h - threshold
            tl.store(potential, h, mask=inside)
            potential += potential_stride
        current += current_stride
        spikes += spikes_stride


@triton.jit
def quotient_slope(x, constant_term, linear_term, square_term, fall, width, below):
    """Return the derivative of a surrogate that is a ``Quotient``."""
    size = tl.abs(x)
    top = tl.where(x < 0.0, below, 1.0) - fall * size
    top = tl.where(size < width, tl.where(top > 0.0, top, 0.0), 0.0)
    return tl.div_rn(top, constant_term + linear_term * size + square_term * (size * size))


@triton.jit
def exponential_slope(x, height, rate, curve, bend):
    """Return the derivative of a surrogate that is an ``Exponential``."""
    size = tl.abs(x)
    e = tl.exp(-(rate * size + curve * (size * size)))
    return height * e / ((1.0 + bend * e) * (1.0 + bend * e))


@triton.jit
def spike_of(h, threshold, a, ternary: tl.constexpr, rectified: tl.constexpr, centred: tl.constexpr):
    """Return S again from what was held, and where a neuron was allowed to fire negatively."""
    allowed = a >= 1.0
    if centred:
        s = (h >= 0.0).to(tl.float32)
    else:
        s = (h >= threshold).to(tl.float32)
        if ternary:
            if rectified:
                s -= ((h <= -threshold) & allowed).to(tl.float32)
            else:
                s -= (h <= -threshold).to(tl.float32)
    return s, allowed


@triton.jit(do_not_specialize=["steps"])
def learn(
    gradient, gradient_stride, potential, potential_stride, result, result_stride, current, current_stride,
    upper, lower, slope_stride, kept, kept_stride, on_leak, learnt_leak, table,
    neurons, steps, leak, keep, start, base, adaptation, rho, spread, gain, unit, margin, fire, loss,
    constant_term, linear_term, square_term, fall, width, below, height, rate, curve, bend,
    silent: tl.constexpr, decay: tl.constexpr, hard: tl.constexpr, ternary: tl.constexpr, rectified: tl.constexpr,
    centred: tl.constexpr, attached: tl.constexpr, adaptive: tl.constexpr, learnt: tl.constexpr, varies: tl.constexpr,
    scaled: tl.constexpr, formula: tl.constexpr, constant: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the current, given those of the spikes and the held potentials."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < neurons
    zero = tl.full([block], 0.0, tl.float32)
    last = (steps - 1).to(tl.int64)
    potential += place
    if adaptive or rectified:  # again what was carried from step to step: A, or base O
        kept += place
        state = zero
        row, to = potential + silent * potential_stride, kept
        for t in range(steps):
            h = tl.load(row, mask=inside, other=0.0)
            if varies:
                fire = tl.load(table + t)
            if rectified:
                state *= base
            tl.store(to, state, mask=inside)
            s, _ = spike_of(h, state * adaptation + fire, state, ternary, rectified, centred)
            if rectified:
                state += s
            else:
                state = state * rho + s * spread
            row += potential_stride
            to += kept_stride
        kept += last * kept_stride
        tl.debug_barrier()  # what a thread of this program wrote another one may read
    if learnt:
        leak = tl.load(learnt_leak)
        keep = 1.0 - leak
        current += place + last * current_stride
        if decay:
            gain = leak
    gradient += place + last * gradient_stride
    potential += (last + silent) * potential_stride
    result += place
    if not constant:
        result += (last + silent) * result_stride
    if formula == "":
        upper += place + last * slope_stride
        lower += place + last * slope_stride
    after, on_raised, of_leak, total = zero, zero, zero, zero  # gradients: of H of the step after, A, the leak, X
    for back in range(steps):
        t = steps - 1 - back
        h = tl.load(potential, mask=inside, other=0.0)
        g = tl.load(gradient, mask=inside, other=0.0).to(tl.float32)
        gradient -= gradient_stride
        if varies:
            fire = tl.load(table + t)
            loss = tl.load(table + steps + t)
        threshold, taken, a = fire, loss, zero
        if adaptive or rectified:
            a = tl.load(kept, mask=inside, other=0.0)
            kept -= kept_stride
        if adaptive:
            threshold, taken = a * adaptation + fire, a * adaptation + loss
        s, allowed = spike_of(h, threshold, a, ternary, rectified, centred)
        down = zero
        if formula == "":
            up = tl.load(upper, mask=inside, other=0.0)
            if ternary:
                down = tl.load(lower, mask=inside, other=0.0)
            upper -= slope_stride
            lower -= slope_stride
        else:
            if centred:
                over, under = h, zero
            elif scaled:
                share = tl.div_rn(h, zero + unit)
                over, under = share - margin, -share - margin
            else:
                over, under = h - threshold, -h - threshold
            if formula == "quotient":
                up = quotient_slope(over, constant_term, linear_term, square_term, fall, width, below)
            else:
                up = exponential_slope(over, height, rate, curve, bend)
            if ternary and formula == "quotient":
                down = quotient_slope(under, constant_term, linear_term, square_term, fall, width, below)
            elif ternary:
                down = exponential_slope(under, height, rate, curve, bend)
        if rectified:
            down = tl.where(allowed, down, 0.0)
        slope, size = up + down, up - down  # of the spike and of its absolute value
        if scaled:
            slope, size = tl.div_rn(slope, zero + unit), tl.div_rn(size, zero + unit)
        grad_v = after * keep
        part = slope * (g + spread * on_raised) if adaptive else slope * g
        if attached:
            if hard:
                value = h
                if centred:
                    value = h + threshold
                part -= grad_v * (value * size)
            else:
                part -= grad_v * (taken * slope)
        if adaptive:
            on_raised = rho * on_raised - adaptation * part
            if attached and not hard:
                on_raised -= adaptation * grad_v * s
        after = part + grad_v
        if hard:
            after -= grad_v * tl.abs(s)
        potential -= potential_stride
        if learnt:  # without a silent period, adaptation and the rule of a rectifier
            if varies:
                fire = tl.load(table + t - 1, mask=t > 0, other=1.0)
                loss = tl.load(table + steps + t - 1, mask=t > 0, other=1.0)
            value = tl.load(potential, mask=inside & (t > 0), other=0.0)
            s, _ = spike_of(value, fire, zero, ternary, rectified, centred)
            if centred:
                value += fire
            if hard:
                value -= value * tl.abs(s)
            else:
                value -= loss * s
            value = tl.where(t > 0, value, start)
            if decay:
                value -= tl.load(current, mask=inside, other=0.0).to(tl.float32)
                current -= current_stride
            of_leak -= after * value
        if constant:
            total += tl.where(t + silent < steps, after, 0.0)
        else:
            tl.store(result, after * gain, mask=inside & (t + silent < steps))
            result -= result_stride
    for back in tl.static_range(silent):
        after *= keep
        if constant:
            total += tl.where(silent - 1 - back < steps, after, 0.0)
        else:
            tl.store(result, after * gain, mask=inside & (silent - 1 - back < steps))
            result -= result_stride
    if constant:
        tl.store(result, total * gain, mask=inside)
    if learnt:
        tl.store(on_leak + place, of_leak, mask=inside)
