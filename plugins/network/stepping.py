"""One time step of integrate-and-fire neurons by itself, for layers whose current depends on their own spikes.

The equations, their order of rounding and the tie at the threshold are those of ``membrane``, whose spikes as many
steps reproduce bit for bit. The gradient is torch's, through the graph of the steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikefront.plugins.contracts.surrogate import Surrogate


def one_step(
    x: Tensor,
    before: Tensor | None,
    *,
    leak: float | Tensor,
    threshold: float,
    surrogate: Surrogate,
    hard_reset: bool,
    decay_input: bool,
    detach_reset: bool,
    ternary: bool,
) -> tuple[Tensor, Tensor]:
    """Return spikes and membrane potential after one step; all but these two as ``integrate_and_fire`` takes it.

    Args:
        x: current of the step, ``(B, ...)``.
        before: membrane potential of the step before; None for rest at 0.
        leak: share of the membrane potential that is lost.
        threshold: membrane potential at which a neuron fires.
        surrogate: derivative of the step function.
        hard_reset: whether a spike sets the potential to 0.
        decay_input: whether the leak scales the current.
        detach_reset: whether the gradient ignores the reset.
        ternary: whether a neuron also fires negatively.
    """
    if before is None:
        h = x * leak if decay_input else x
    elif decay_input:
        h = (x - before) * leak + before
    else:
        h = before * (1 - leak) + x if isinstance(leak, Tensor) or leak else before + x
    s = size = fires(h, threshold, surrogate)
    if ternary:
        negative = fires(-h, threshold, surrogate)
        s, size = s - negative, s + negative
    if hard_reset:
        return s, torch.addcmul(h, h, size.detach() if detach_reset else size, value=-1)
    return s, torch.sub(h, s.detach() if detach_reset else s, alpha=threshold)


def fires(h: Tensor, threshold: float, surrogate: Surrogate, *, above: bool = False) -> Tensor:
    """Return the spikes of membrane potentials, with the gradient of a surrogate.

    Args:
        h: membrane potentials.
        threshold: at which a neuron fires.
        surrogate: derivative of the step function at ``h - threshold``.
        above: whether it fires above the threshold only, rather than at it too.
    """
    spikes: Tensor = _Fires.apply(h, threshold, surrogate, above)  # type: ignore[no-untyped-call]
    return spikes


class _Fires(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, threshold: float, surrogate: Surrogate, above: bool) -> Tensor:
        ctx.save_for_backward(h)
        ctx.rule = (threshold, surrogate)
        return ((h > threshold) if above else (h >= threshold)).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (h,) = ctx.saved_tensors
        threshold, surrogate = ctx.rule
        return surrogate(h - threshold) * gradient, None, None, None
