"""The membrane equation of integrate-and-fire neurons over all time steps, with an analytical backward pass.

One step, from rest at 0::

    H[t] = V[t-1] + leak * (X[t] - V[t-1])     with decay_input
    H[t] = (1 - leak) * V[t-1] + X[t]          without
    S[t] = 1 if H[t] >= threshold else 0
    V[t] = H[t] * (1 - S[t])                   hard reset
    V[t] = H[t] - threshold * S[t]             soft reset

The forms, their order of rounding and the tie at the threshold (it fires) are those of SpikingJelly (Fang et al.,
Science Advances 9, 2023), whose spikes this reproduces bit for bit. What differs is speed: no autograd graph per step,
no copies of a constant current, and the layout of the current (channels last, say) is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikefront.plugins.surrogates import Surrogate


def integrate_and_fire(
    current: Tensor,
    steps: int,
    *,
    leak: float | Tensor,
    threshold: float,
    surrogate: Surrogate,
    hard_reset: bool = True,
    decay_input: bool = False,
    detach_reset: bool = True,
) -> Tensor:
    """Drive neurons with a current and return their spikes.

    Args:
        current: X, shape ``(T, B, ...)``, or ``(1, B, ...)`` for a current that is the same at every step.
        steps: number of time steps T.
        leak: share of the membrane potential lost in a step, in [0, 1]: ``1/tau``; 0 for a perfect integrator. A tensor
            with one element is learnt.
        threshold: membrane potential at which a neuron fires, above 0.
        surrogate: derivative of the step function at ``H - threshold``.
        hard_reset: whether a spike sets V to 0, rather than subtracting the threshold.
        decay_input: whether the leak also scales the current.
        detach_reset: whether the gradient ignores the reset.

    Returns:
        Spikes in {0, 1}, shape ``(T, B, ...)``, dtype and layout of ``current``.
    """
    spikes: Tensor = _IntegrateAndFire.apply(  # type: ignore[no-untyped-call]
        current, leak, steps, threshold, surrogate, hard_reset, decay_input, detach_reset
    )
    return spikes


class _IntegrateAndFire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        leak: float | Tensor,
        steps: int,
        threshold: float,
        surrogate: Surrogate,
        hard_reset: bool,
        decay_input: bool,
        detach_reset: bool,
    ) -> Tensor:
        potential = _empty_over_time(current, steps)  # H, before the reset
        spikes = torch.empty_like(potential)
        before: Tensor | None = None  # V of the step before
        for t in range(steps):
            x = current[t if len(current) > 1 else 0]
            h = _charge(x, before, leak, decay_input, out=potential[t])
            s = torch.ge(h, threshold, out=spikes[t])
            if t < steps - 1:
                before = torch.addcmul(h, h, s, value=-1) if hard_reset else torch.sub(h, s, alpha=threshold)
        ctx.save_for_backward(current, potential, spikes, leak if isinstance(leak, Tensor) else None)
        ctx.rule = (leak, threshold, surrogate, hard_reset, decay_input, detach_reset)
        return spikes

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor) -> tuple[Tensor | None, ...]:
        current, potential, spikes, learnt_leak = ctx.saved_tensors
        leak, threshold, surrogate, hard_reset, decay_input, detach_reset = ctx.rule
        constant = len(current) == 1
        gain = leak if decay_input else 1.0
        grad_current = torch.zeros_like(current) if constant else torch.empty_like(current)
        grad_leak = torch.zeros_like(learnt_leak) if learnt_leak is not None and ctx.needs_input_grad[1] else None
        grad_v: Tensor | None = None  # gradient of V[t]
        for t in reversed(range(len(potential))):
            h, s = potential[t], spikes[t]
            slope = surrogate(h - threshold)
            through_reset = None if detach_reset else _reset_slope(h, slope, threshold, hard_reset)
            grad_h = slope.mul_(grad_spikes[t])
            if grad_v is not None:
                grad_h.add_(grad_v)
                if hard_reset:
                    grad_h.addcmul_(grad_v, s, value=-1)
                if through_reset is not None:
                    grad_h.addcmul_(grad_v, through_reset, value=-1)
            x = current[0 if constant else t]
            if grad_leak is not None:
                grad_leak += _leak_gradient(grad_h, x, potential, spikes, t, threshold, hard_reset, decay_input)
            if constant:
                grad_current[0].add_(grad_h)
            else:
                torch.mul(grad_h, gain, out=grad_current[t])
            grad_v = grad_h.mul_(1 - leak)
        if constant:
            grad_current.mul_(gain)
        return grad_current, grad_leak, None, None, None, None, None, None


def _empty_over_time(current: Tensor, steps: int) -> Tensor:
    """Allocate ``(steps, B, ...)`` in the layout of ``current``; another one would cost a transposing copy per step."""
    first = current[0]
    if current.dim() > 2 and first.is_contiguous(memory_format=torch.contiguous_format) is False:
        order = sorted(range(first.dim()), key=first.stride, reverse=True)
        shape = [first.shape[axis] for axis in order]
        back = [order.index(axis) + 1 for axis in range(first.dim())]
        return current.new_empty([steps, *shape]).permute(0, *back)
    return current.new_empty([steps, *first.shape])


def _charge(x: Tensor, before: Tensor | None, leak: float | Tensor, decay_input: bool, out: Tensor) -> Tensor:
    if before is None:  # V = 0
        return torch.mul(x, leak, out=out) if decay_input else out.copy_(x)
    if decay_input:
        torch.sub(x, before, out=out)
        return out.mul_(leak).add_(before)
    if isinstance(leak, Tensor) or leak:
        torch.mul(before, 1 - leak, out=out)
        return out.add_(x)
    return torch.add(before, x, out=out)


def _reset_slope(h: Tensor, slope: Tensor, threshold: float, hard_reset: bool) -> Tensor:
    """Return the share of -dV/dH that goes through the spike: ``H dS/dH`` (hard), ``threshold dS/dH`` (soft)."""
    return h * slope if hard_reset else slope * threshold


def _leak_gradient(
    grad_h: Tensor,
    x: Tensor,
    potential: Tensor,
    spikes: Tensor,
    t: int,
    threshold: float,
    hard_reset: bool,
    decay_input: bool,
) -> Tensor:
    if t == 0:
        return (grad_h * x).sum() if decay_input else grad_h.new_zeros(())
    h, s = potential[t - 1], spikes[t - 1]
    before = h - h * s if hard_reset else h - threshold * s
    return (grad_h * (x - before if decay_input else -before)).sum()
