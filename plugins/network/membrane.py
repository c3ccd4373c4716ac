"""The membrane equation of integrate-and-fire neurons over all time steps, with an analytical backward pass.

One step, from a given start, by default rest at 0::

    H[t] = V[t-1] + leak * (X[t] - V[t-1])     with decay_input
    H[t] = (1 - leak) * V[t-1] + X[t]          without
    S[t] = 1 if H[t] >= threshold else 0
    V[t] = H[t] * (1 - |S[t]|)                 hard reset
    V[t] = H[t] - threshold * S[t]             soft reset

A ternary neuron also fires S[t] = -1 where H[t] <= -threshold.

The forms, their order of rounding and the tie at the threshold (it fires) are those of SpikingJelly (Fang et al.,
Science Advances 9, 2023), whose spikes this reproduces bit for bit. What differs is speed: no autograd graph per step,
no copies of a constant current, and the layout of the current (channels last, say) is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any, Final

import torch
from torch import Tensor

from spikefront.plugins.contracts.surrogate import Surrogate
from spikefront.plugins.network.pooling import Tap, max_pool
from spikefront.plugins.network.recurrence import Recurrence, empty_over_time, native, pools, recur


def integrate_and_fire(
    current: Tensor,
    steps: int,
    *,
    leak: float | Tensor,
    threshold: float | Sequence[float],
    surrogate: Surrogate,
    hard_reset: bool = True,
    decay_input: bool = False,
    detach_reset: bool = True,
    ternary: bool = False,
    start: float = 0.0,
    pool: int = 0,
) -> Tensor:
    """Drive neurons with a current and return their spikes, or the maxima of windows of them.

    Args:
        current: X, shape ``(T, B, ...)``, or ``(1, B, ...)`` for a current that is the same at every step.
        steps: number of time steps T.
        leak: share of the membrane potential lost in a step, in [0, 1]: ``1/tau``; 0 for a perfect integrator. A tensor
            with one element is learnt.
        threshold: membrane potential at which a neuron fires, above 0; T of them if it changes from step to step.
        surrogate: derivative of the step function at ``H - threshold``; a ternary neuron's spike is the difference of
            two step functions, so its derivative adds that at ``-H - threshold``.
        hard_reset: whether a spike sets V to 0, rather than subtracting the threshold.
        decay_input: whether the leak also scales the current.
        detach_reset: whether the gradient ignores the reset.
        ternary: whether a neuron also fires, negatively, at minus the threshold.
        start: membrane potential V before the first step.
        pool: side of the windows of max pooling right behind the neurons, which then are maps; 0 for none. In machine
            code it is one pass over memory, in which the spikes themselves are not written.

    Returns:
        Spikes in {0, 1}, or {-1, 0, 1} if ternary, shape ``(T, B, ...)``, dtype and layout of ``current``; with
        ``pool`` their maxima, ``(T, B, C, H // pool, W // pool)``.
    """
    thresholds = tuple(threshold) if isinstance(threshold, Sequence) else (threshold,) * steps
    code = native(current, steps, leak)
    if pool and not pools(current, surrogate, code, pool):
        given: dict[str, Any] = {"hard_reset": hard_reset, "decay_input": decay_input, "detach_reset": detach_reset}
        given |= {"leak": leak, "threshold": threshold, "surrogate": surrogate, "ternary": ternary, "start": start}
        whole = integrate_and_fire(current, steps, **given)
        maxima: Tensor = max_pool(whole.flatten(0, 1), pool, Tap.of(whole)).unflatten(0, whole.shape[:2])
        return maxima
    if code:
        learnt = leak if isinstance(leak, Tensor) else None
        share, keep = (leak, 1 - leak) if not isinstance(leak, Tensor) else _numbers(leak)
        rule = Recurrence(
            fires=thresholds,
            losses=thresholds,
            leak=share,
            keep=keep,
            gain=share if decay_input else 1.0,
            hard_reset=hard_reset,
            decay_input=decay_input,
            detach_reset=detach_reset,
            ternary=ternary,
            start=start,
        )
        return recur(current, rule, surrogate, code, learnt, pool)
    spikes: Tensor = _IntegrateAndFire.apply(  # type: ignore[no-untyped-call]
        current, leak, steps, thresholds, surrogate, hard_reset, decay_input, detach_reset, ternary, start
    )
    return spikes


def _numbers(leak: Tensor) -> tuple[float, float]:
    """Return a learnt leak and what it leaves; kernels of a GPU read it there, since to wait for it costs more."""
    return (math.nan, math.nan) if leak.device.type == "cuda" else (leak.item(), (1 - leak).item())


class _IntegrateAndFire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        leak: float | Tensor,
        steps: int,
        thresholds: tuple[float, ...],
        surrogate: Surrogate,
        hard_reset: bool,
        decay_input: bool,
        detach_reset: bool,
        ternary: bool,
        start: float,
    ) -> Tensor:
        potential = empty_over_time(current, steps)  # H, before the reset
        spikes = torch.empty_like(potential)
        before = torch.full_like(current[0], start) if start else None  # V of the step before
        for t in range(steps):
            x = current[t if len(current) > 1 else 0]
            h = charge(x, before, leak, decay_input, out=potential[t])
            s = torch.ge(h, thresholds[t], out=spikes[t])
            if ternary:
                s.sub_(torch.le(h, -thresholds[t]).to(s.dtype))
            if t < steps - 1:
                before = _reset(h, s, thresholds[t], hard_reset, ternary)
        ctx.save_for_backward(current, potential, spikes, leak if isinstance(leak, Tensor) else None)
        ctx.rule = (leak, thresholds, surrogate, hard_reset, decay_input, detach_reset, ternary, start)
        return spikes

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor) -> tuple[Tensor | None, ...]:
        current, potential, spikes, learnt_leak = ctx.saved_tensors
        leak, thresholds, surrogate, hard_reset, decay_input, detach_reset, ternary, start = ctx.rule
        constant = len(current) == 1
        gain = leak if decay_input else 1.0
        grad_current = torch.zeros_like(current) if constant else torch.empty_like(current)
        grad_leak = torch.zeros_like(learnt_leak) if learnt_leak is not None and ctx.needs_input_grad[1] else None
        grad_v: Tensor | None = None  # gradient of V[t]
        for t in reversed(range(len(potential))):
            h, s, threshold = potential[t], spikes[t], thresholds[t]
            slope, size_slope = _slopes(h, threshold, surrogate, ternary)
            # share of -dV/dH that goes through the spike
            through_reset = None if detach_reset else h * size_slope if hard_reset else slope * threshold
            grad_h = slope.mul_(grad_spikes[t])
            if grad_v is not None:
                grad_h.add_(grad_v)
                if hard_reset:
                    grad_h.addcmul_(grad_v, s.abs() if ternary else s, value=-1)
                if through_reset is not None:
                    grad_h.addcmul_(grad_v, through_reset, value=-1)
            x = current[0 if constant else t]
            if grad_leak is not None:
                v: Tensor | float = start
                if t > 0:
                    v = _reset(potential[t - 1], spikes[t - 1], thresholds[t - 1], hard_reset, ternary)
                grad_leak += (grad_h * (x - v)).sum() if decay_input else (grad_h * v).sum().neg()
            if constant:
                grad_current[0].add_(grad_h)
            else:
                torch.mul(grad_h, gain, out=grad_current[t])
            grad_v = grad_h.mul_(1 - leak)
        if constant:
            grad_current.mul_(gain)
        return grad_current, grad_leak, *[None] * 8


RESOLUTION: Final = 1 / 64
"""Least potential, in units of the current, that Loihi 1 tells from 0: it holds multiples of it."""


_cut: ContextVar[bool] = ContextVar("cut", default=True)


@contextmanager
def exact_potentials() -> Iterator[None]:
    """Context in which ``potentials`` cuts nothing; what it yields has to be taken inside."""
    token = _cut.set(False)
    try:
        yield
    finally:
        _cut.reset(token)


def potentials(
    current: Tensor,
    spikes: Tensor,
    *,
    leak: float | Tensor,
    threshold: float | Sequence[float],
    hard_reset: bool = True,
    decay_input: bool = False,
    start: float = 0.0,
) -> Iterator[Tensor]:
    """Yield V as each step begins, as Loihi 1 holds it, of neurons that fired as ``integrate_and_fire`` says.

    What the leak leaves is cut to multiples of ``RESOLUTION``, towards 0, so that a potential comes to rest. After the
    last step it goes on without current.

    Args:
        current: X, ``(T, B, ...)`` or ``(1, B, ...)``.
        spikes: S, ``(T, B, ...)``.
        leak: as they were made.
        threshold: as they were made.
        hard_reset: as they were made.
        decay_input: as they were made.
        start: as they were made.
    """
    v = torch.full_like(current[0], start)
    gain = leak if decay_input else 1.0
    for t in count():
        yield v
        v = v.mul(1 - leak)
        if _cut.get():
            v.div_(RESOLUTION).trunc_().mul_(RESOLUTION)
        if t < len(spikes):
            v.add_(current[t if len(current) > 1 else 0] * gain)
            if hard_reset:
                v.masked_fill_(spikes[t] != 0, 0.0)
            else:
                v.sub_(spikes[t], alpha=threshold[t] if isinstance(threshold, Sequence) else threshold)


def charge(x: Tensor, before: Tensor | None, leak: float | Tensor, decay_input: bool, out: Tensor) -> Tensor:
    """Write H into ``out`` and return it.

    Args:
        x: current of one step.
        before: V of the step before; None for 0 everywhere.
        leak: share of ``before`` that is lost.
        decay_input: whether the leak also scales the current.
        out: where H goes, of the shape of ``x``.
    """
    if before is None:  # V = 0
        return torch.mul(x, leak, out=out) if decay_input else out.copy_(x)
    if decay_input:
        torch.sub(x, before, out=out)
        return out.mul_(leak).add_(before)
    if isinstance(leak, Tensor) or leak:
        torch.mul(before, 1 - leak, out=out)
        return out.add_(x)
    return torch.add(before, x, out=out)


def _reset(h: Tensor, s: Tensor, threshold: float, hard_reset: bool, ternary: bool) -> Tensor:
    if hard_reset:
        return torch.addcmul(h, h, s.abs() if ternary else s, value=-1)
    return torch.sub(h, s, alpha=threshold)


def _slopes(h: Tensor, threshold: float, surrogate: Surrogate, ternary: bool) -> tuple[Tensor, Tensor]:
    """Return the surrogates of dS/dH and d|S|/dH."""
    upper = surrogate(h - threshold)
    if not ternary:
        return upper, upper
    lower = surrogate(-h - threshold)
    return upper + lower, upper - lower
