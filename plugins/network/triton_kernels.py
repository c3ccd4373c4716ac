"""Kernels of the membrane recurrence for GPUs, by Triton: forward and backward, each one launch for all time steps.

A program has ``BLOCK`` neurons, whose state stays in registers from step to step; the numbers and rules are those of
``recurrence.Recurrence``, and so is the order of rounding: nothing is contracted to a fused multiplication and
addition, so that spikes are those of the torch form. State is float32, whatever the type of the current.

This module is imported where there is a GPU; Triton's interpreter runs it on CPU tensors (``TRITON_INTERPRET=1``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikefront.plugins.contracts.surrogate import Quotient, Surrogate
from spikefront.plugins.network.recurrence import Recurrence, aligned, empty_over_time, quotient_of

BLOCK: Final = 512
"""Neurons of a program: four of each of its 128 threads, which read 16 bytes at a time."""

_CHUNK: Final = 1 << 24
"""Neuron steps whose derivatives torch computes at a time, for a surrogate that is not a quotient."""


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
    constant_term, linear_term, square_term, fall, width, below,
    silent: tl.constexpr, decay: tl.constexpr, hard: tl.constexpr, ternary: tl.constexpr, rectified: tl.constexpr,
    centred: tl.constexpr, attached: tl.constexpr, adaptive: tl.constexpr, learnt: tl.constexpr, varies: tl.constexpr,
    scaled: tl.constexpr, quotient: tl.constexpr, constant: tl.constexpr, block: tl.constexpr,
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
    if not quotient:
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
        if not quotient:
            up = tl.load(upper, mask=inside, other=0.0)
            if ternary:
                down = tl.load(lower, mask=inside, other=0.0)
            upper -= slope_stride
            lower -= slope_stride
        elif centred:
            up = quotient_slope(h, constant_term, linear_term, square_term, fall, width, below)
        else:
            if scaled:
                share, edge = tl.div_rn(h, zero + unit), zero + margin
            else:
                share, edge = h, zero + threshold
            up = quotient_slope(share - edge, constant_term, linear_term, square_term, fall, width, below)
            if ternary:
                down = quotient_slope(-share - edge, constant_term, linear_term, square_term, fall, width, below)
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


def recur(current: Tensor, rule: Recurrence, surrogate: Surrogate, learnt_leak: Tensor | None = None) -> Tensor:
    """Drive neurons with a current and return their spikes; as ``recurrence.recur``."""
    spikes: Tensor = _Recur.apply(  # type: ignore[no-untyped-call]
        current, learnt_leak, rule, surrogate, torch.is_grad_enabled()
    )
    return spikes


def probe(device: torch.device) -> None:
    """Compile and run both kernels on a device, for one neuron.

    Raises:
        Exception: of whatever kind, where that fails.
    """
    with torch.enable_grad():
        current = torch.ones(1, 1, 1, device=device, requires_grad=True)
        recur(current, Recurrence((1.0,), (1.0,)), _One()).sum().backward()


class _One(Surrogate):
    """Derivative 1 everywhere, of the probe."""

    def quotient(self) -> Quotient:
        return Quotient()


class _Recur(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, current: Tensor, leak: Tensor | None, rule: Recurrence, surrogate: Surrogate, recording: bool
    ) -> Tensor:
        held = recording and any(ctx.needs_input_grad)
        spikes = empty_over_time(current, len(rule.fires))
        potential = empty_over_time(current, len(rule.fires) + rule.silent if held else 1, torch.float32)
        current = aligned(current, spikes)
        rows = _rows("current", current) | _rows("potential", potential) | _rows("spikes", spikes)
        _launch(spike, _call(rule, leak, current.device) | rows | {"neurons": current[0].numel(), "held": held})
        if held:
            ctx.save_for_backward(potential, current if leak is not None else None, leak)
            ctx.rule = (rule, surrogate, len(current) == 1, current.dtype)
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        potential, current, leak = ctx.saved_tensors
        rule, surrogate, constant, dtype = ctx.rule
        steps, neurons = len(rule.fires), potential[0].numel()
        result = empty_over_time(potential, 1 if constant else steps, dtype)
        carried = rule.adaptation != 0 or rule.base is not None
        kept = empty_over_time(potential, steps if carried else 1)
        gradient = aligned(gradient, potential)
        # a tensor in place of one that no line of the kernel reads
        call = _call(rule, leak, potential.device) | _rows("current", potential if current is None else current)
        call |= _rows("gradient", gradient) | _rows("potential", potential) | _rows("result", result)
        call |= _rows("kept", kept) | {"constant": constant, "quotient": True, "neurons": neurons}
        terms = None if leak is None else torch.empty(neurons, dtype=torch.float32, device=leak.device)
        call["on_leak"] = terms
        if (quotient := quotient_of(surrogate)) is not None:
            _launch(learn, call | asdict(quotient))
        else:
            _learn_by_torch(call, rule, surrogate, potential)
        on_leak = None if terms is None else terms.sum(dtype=torch.float64).to(leak.dtype).reshape(leak.shape)
        return result, on_leak, None, None, None


def _learn_by_torch(call: dict[str, Any], rule: Recurrence, surrogate: Surrogate, potential: Tensor) -> None:
    """Run the backward kernel with derivatives that torch computes, a chunk of the neurons at a time."""
    steps, neurons = len(rule.fires), call["neurons"]
    held = potential.as_strided((len(potential), neurons), (potential.stride(0), 1))[rule.silent :]
    chunk = BLOCK * triton.cdiv(_CHUNK, steps * BLOCK)
    arrays = [name for name in call if f"{name}_stride" in call]
    for first in range(0, neurons, chunk):
        upper, lower = rule.slopes(held[:, first : first + chunk], surrogate)
        here = {name: _from(call[name], first) for name in arrays}
        if call["on_leak"] is not None:
            here["on_leak"] = call["on_leak"][first:]
        slopes = {"upper": upper, "lower": lower, "slope_stride": upper.shape[1], "quotient": False}
        _launch(learn, call | here | slopes | {"neurons": min(chunk, neurons - first)})


def _call(rule: Recurrence, leak: Tensor | None, device: torch.device) -> dict[str, Any]:
    """Return what both kernels take, but for arrays over time."""
    varies = len(set(rule.fires)) > 1 or len(set(rule.losses)) > 1
    return rule.call() | {
        "fire": rule.fires[0],
        "loss": rule.losses[0],
        "table": _table(rule.fires, rule.losses, device) if varies else None,
        "varies": varies,
        "adaptive": rule.adaptation != 0,
        "scaled": rule.margin is not None,
        "learnt_leak": leak,
        "learnt": leak is not None,
        "on_leak": None,
        "upper": None,
        "lower": None,
        "slope_stride": 0,
        **dict.fromkeys(("constant_term", "linear_term", "square_term", "fall", "width", "below"), 0.0),
    }


@lru_cache(maxsize=64)
def _table(fires: tuple[float, ...], losses: tuple[float, ...], device: torch.device) -> Tensor:
    """Return thresholds and losses on the device: a copy at each call would wait for it."""
    return torch.tensor([fires, losses], dtype=torch.float32, device=device)


def _launch(kernel: Any, call: dict[str, Any]) -> None:
    arguments = {name: call[name] for name in kernel.arg_names if name in call}
    with _on(call["potential"].device):
        kernel[(triton.cdiv(call["neurons"], BLOCK),)](**arguments, block=BLOCK, num_warps=4, enable_fp_fusion=False)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _rows(name: str, x: Tensor) -> dict[str, Any]:
    return {name: x, f"{name}_stride": x.stride(0) if len(x) > 1 else 0}


def _from(x: Tensor, first: int) -> Tensor:
    """Return ``x`` from a neuron on, counted as they lie in memory."""
    return x.as_strided((1,), (1,), x.storage_offset() + first)
