"""The recurrence of spiking neurons over all time steps, at native speed where it can be had.

One record of numbers, ``Recurrence``, describes all built-in neurons. From the start V, with A = O = 0, at each step::

    H = V + leak (X - V)   with decay_input        H = keep V + X   without
    fire = fires[t] + adaptation A                 loss = losses[t] + adaptation A
    S = 1 if H >= fire;  -1 if ternary and H <= -fire, and, if rectified, base O >= 1;  else 0
    V = H (1 - |S|)        hard reset              V = H - loss S    soft
    A = rho A + (1 - rho) S                        O = base O + S

For the first ``silent`` of T + silent steps a neuron only integrates, and the last as many have no current.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikefront.plugins.contracts.surrogate import Quotient, Surrogate
from spikefront.plugins.network.formulas import formula_of, numbers_of
from spikefront.plugins.network.gpu import gpu_kernels
from spikefront.plugins.network.native import TILE, Kernels, kernels_for
from spikefront.plugins.network.pooling import PooledGradient, Tap, fits, window_shape

_CHUNK: Final = 131072
"""Neuron steps whose derivatives are computed at a time and thread: they stay in the cache until they are used."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Numbers that say how neurons behave; see the module.

    Attributes:
        fires: membrane potential at which a neuron fires, at each of T steps.
        losses: what a soft reset takes, at each step.
        leak: share of the membrane potential that is lost in a step; with one that is learnt, its value.
        keep: what the membrane potential is multiplied by in a step.
        gain: derivative of H with respect to the current.
        hard_reset: whether a spike sets V to 0.
        decay_input: whether the leak scales the current.
        detach_reset: whether the gradient ignores the reset.
        ternary: whether it also fires negatively.
        start: V before the first step.
        adaptation: what A is multiplied by.
        rho: what is left of A after a step; 1 keeps it at 0.
        silent: steps before it may fire.
        base: what O is multiplied by in a step; None for a neuron that may always fire negatively.
        unit: what the membrane potential is divided by before the surrogate, which gets ``H / unit - fires / unit``.
        margin: that last quotient, if the unit isn't 1.
    """

    fires: tuple[float, ...]
    losses: tuple[float, ...]
    leak: float = 0.0
    keep: float = 1.0
    gain: float = 1.0
    hard_reset: bool = False
    decay_input: bool = False
    detach_reset: bool = True
    ternary: bool = False
    start: float = 0.0
    adaptation: float = 0.0
    rho: float = 1.0
    silent: int = 0
    base: float | None = None
    unit: float = 1.0
    margin: float | None = None

    @property
    def centred(self) -> bool:
        """Return whether the backward pass gets ``H - fire``, as the surrogate does, rather than H."""
        return not self.ternary and self.margin is None

    def call(self) -> dict[str, Any]:
        """Return the numbers as a kernel takes them."""
        return {
            "steps": len(self.fires),
            "silent": self.silent,
            "decay": self.decay_input,
            "hard": self.hard_reset,
            "ternary": self.ternary,
            "rectified": self.base is not None,
            "centred": self.centred,
            "attached": not self.detach_reset,
            "leak": self.leak,
            "keep": self.keep,
            "start": self.start,
            "base": self.base or 0.0,
            "adaptation": self.adaptation,
            "rho": self.rho,
            "spread": 1 - self.rho,
            "gain": self.gain,
            "unit": self.unit,
            "margin": self.margin or 0.0,
        }

    def slopes(self, held: Tensor, surrogate: Surrogate) -> tuple[Tensor, Tensor]:
        """Return the derivatives of the steps at the upper and at the lower threshold, ``(T, N)``.

        Args:
            held: what is held for the backward pass, ``(T, N)``.
            surrogate: the derivative.
        """
        if self.centred:
            upper = _dense(surrogate(held), held)
            return upper, upper
        if self.margin is not None:
            held, margin = held / self.unit, held.new_tensor(self.margin)
        else:
            margin = held.new_tensor(self.fires).unsqueeze(1)
        upper = _dense(surrogate(held - margin), held)
        return upper, _dense(surrogate(-held - margin), held) if self.ternary else upper


def native(current: Tensor, steps: int, leak: float | Tensor = 0.0) -> Kernels | ModuleType | None:
    """Return the kernels of the device if they compute what the torch form would; None where that must run.

    It must on devices other than CPUs and GPUs and in other types than float32 (on a GPU, half precision will do), and
    wherever operations are watched rather than only computed: export and compilation, transforms, modes of dispatch,
    subclasses of Tensor.

    Args:
        current: X, ``(T, B, ...)`` or ``(1, B, ...)``.
        steps: number of time steps T.
        leak: the leak, if it is learnt.
    """
    if current.device.type == "cuda":
        return gpu_kernels(current, leak) if len(current) in (1, steps) else None
    if current.layout != torch.strided or len(current) not in (1, steps):
        return None
    return kernels_for(current, leak) if isinstance(leak, Tensor) else kernels_for(current)


def recur(
    current: Tensor,
    rule: Recurrence,
    surrogate: Surrogate,
    code: Kernels | ModuleType,
    learnt_leak: Tensor | None = None,
    pool: int = 0,
) -> Tensor:
    """Drive neurons with a current and return their spikes, or the maxima of windows of them.

    Args:
        current: X, ``(T, B, ...)`` or ``(1, B, ...)``, which ``native`` has accepted.
        rule: how the neurons behave.
        surrogate: derivative of the step function.
        code: what ``native`` returned.
        learnt_leak: the leak, if it is learnt.
        pool: side of the windows, which ``pools`` has accepted; 0 for none.

    Returns:
        Spikes ``(T, B, ...)``, with the memory layout of ``current``; with ``pool`` maxima ``(T, B, C, H // pool,
        W // pool)``.
    """
    spikes: Tensor
    if isinstance(code, ModuleType):  # of a GPU
        spikes = code.recur(current, rule, surrogate, learnt_leak)
        return spikes
    if pool:
        pooled: Tensor = _PooledRecur.apply(  # type: ignore[no-untyped-call]
            current, learnt_leak, rule, surrogate, code, torch.is_grad_enabled(), pool
        )
        return pooled
    left: list[PooledGradient] = []
    spikes, edge = _Recur.apply(  # type: ignore[no-untyped-call]
        current, learnt_leak, rule, surrogate, code, torch.is_grad_enabled(), left
    )
    if edge.requires_grad:
        spikes.tap = Tap(edge, left)  # type: ignore[attr-defined]
    return spikes


def pools(current: Tensor, surrogate: Surrogate, code: Kernels | ModuleType | None, size: int) -> bool:
    """Return whether ``recur`` can pool over windows of this side: the neurons are maps, and lie channels last."""
    return isinstance(code, Kernels) and fits(current[0], size) and formula_of(surrogate) is not None


class _Recur(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        leak: Tensor | None,
        rule: Recurrence,
        surrogate: Surrogate,
        code: Kernels,
        recording: bool,
        left: list[PooledGradient],
    ) -> tuple[Tensor, Tensor]:
        steps, neurons = len(rule.fires), current[0].numel()
        learns = recording and any(ctx.needs_input_grad)
        held = None
        if learns and formula_of(surrogate) is None:  # torch computes derivatives from them
            held = empty_over_time(current, steps + rule.silent)
        spikes = empty_over_time(current, steps)
        current = aligned(current, spikes)
        fires, losses = np.array([rule.fires, rule.losses], np.float32)
        code.spike(
            **rule.call(),
            neurons=neurons,
            **_rows("current", current),
            **({} if held is None else _rows("potential", held)),
            **_rows("spikes", spikes),
            fires=fires.ctypes.data,
            losses=losses.ctypes.data,
        )
        if learns:
            ctx.save_for_backward(current, held, leak)
            ctx.rule = (rule, surrogate, code, left)
            ctx.set_materialize_grads(False)
        return spikes, current.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        current, held, leak = ctx.saved_tensors
        rule, surrogate, code, left = ctx.rule
        told, kept = _told(gradient, left, empty_over_time(current, len(rule.fires)), code)
        result, on_leak = _learn(current, held, leak, rule, surrogate, code, told)
        del kept  # until now the kernel read its numbers
        return result, on_leak, None, None, None, None, None


class _PooledRecur(torch.autograd.Function):
    """Neurons with max pooling right behind them: neither spikes nor potentials of all steps are written."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        leak: Tensor | None,
        rule: Recurrence,
        surrogate: Surrogate,
        code: Kernels,
        recording: bool,
        size: int,
    ) -> Tensor:
        steps, (batch, channels, rows, columns) = len(rule.fires), current.shape[1:]
        learns = recording and any(ctx.needs_input_grad)
        current = aligned(current, empty_over_time(current, 1))
        shape = window_shape(steps * batch, channels, rows, columns, size)
        pooled = current.new_empty((steps * batch, rows // size, columns // size, channels))
        places = torch.empty(pooled.shape if learns else 0, dtype=torch.uint8)
        fires, losses = np.array([rule.fires, rule.losses], np.float32)
        code.spike_pooled(
            **rule.call(),
            neurons=current[0].numel(),
            **_rows("current", current),
            fires=fires.ctypes.data,
            losses=losses.ctypes.data,
            **{name: number for name, number in shape.items() if name != "images"},
            batch=batch,
            pooled=pooled.data_ptr(),
            places=places.data_ptr() if learns else 0,
        )
        if learns:
            ctx.save_for_backward(current, places, leak)
            ctx.rule = (rule, surrogate, code, shape)
        maxima: Tensor = pooled.permute(0, 3, 1, 2).unflatten(0, (steps, batch))
        return maxima

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        current, places, leak = ctx.saved_tensors
        rule, surrogate, code, shape = ctx.rule
        pooled = PooledGradient(gradient.flatten(0, 1), places, shape)
        told = {**pooled.call(), "batch": current.shape[1]}
        result, on_leak = _learn(current, None, leak, rule, surrogate, code, told)
        return result, on_leak, None, None, None, None, None


def _learn(
    current: Tensor,
    held: Tensor | None,
    leak: Tensor | None,
    rule: Recurrence,
    surrogate: Surrogate,
    code: Kernels,
    told: dict[str, Any],
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of the current and of a learnt leak.

    Args:
        current: X, each step laid out as those of the spikes.
        held: H of all steps, for a surrogate that torch computes; None for potentials that are computed again.
        leak: the leak, if it is learnt.
        rule: how the neurons behave.
        surrogate: derivative of the step function.
        code: the kernels.
        told: the gradient of the spikes, as the kernel takes it.
    """
    steps, neurons, constant = len(rule.fires), current[0].numel(), len(current) == 1
    result = empty_over_time(current, len(current))
    fires, losses = np.array([rule.fires, rule.losses], np.float32)
    sums = torch.zeros(-(-neurons // TILE), dtype=torch.float32) if leak is not None else None
    call = rule.call() | {
        **told,
        **({} if held is None else _rows("potential", held)),
        **_rows("result", result),
        **_rows("current", current),
        "constant": constant,
        "learnt": leak is not None,
        "fires": fires.ctypes.data,
        "losses": losses.ctypes.data,
    }
    if (formula := formula_of(surrogate)) is not None:
        call |= {"quotient" if isinstance(formula, Quotient) else "exponential": True, **numbers_of(formula)}
        chunk = neurons
    else:
        chunk = TILE * -(-_CHUNK // (steps * TILE)) * (1 if torch.get_num_threads() == 1 else 16)
    for first in range(0, neurons, chunk):
        if held is not None:
            flat = held.as_strided((len(held), neurons), (neurons, 1))
            upper, lower = rule.slopes(flat[rule.silent :, first : first + chunk], surrogate)
            call |= {"upper": upper.data_ptr(), "lower": lower.data_ptr(), "slope_stride": upper.shape[1]}
        here: dict[str, Any] = {"offset": first}
        here |= {name: call[name] + 4 * first for name in ("spikes", "potential", "result", "current") if name in call}
        if sums is not None:
            here["on_leak"] = sums.data_ptr() + 4 * (first // TILE)
        code.learn(**call | here, neurons=min(chunk, neurons - first))
    if leak is None or sums is None:
        return result, None
    return result, sums.sum(dtype=torch.float64).to(leak.dtype).reshape(leak.shape)


def _told(
    gradient: Tensor | None, left: list[PooledGradient], like: Tensor, code: Kernels
) -> tuple[dict[str, Any], Tensor | PooledGradient | None]:
    """Return the gradient of the spikes as the kernel takes it, and what holds its numbers.

    Args:
        gradient: what came by the spikes themselves, ``(T, B, ...)``.
        left: what poolings left, which is taken from here.
        like: a tensor laid out as the spikes are, ``(T, B, ...)``.
        code: the kernels.
    """
    pooled = [left.pop() for _ in range(len(left))]
    if gradient is None and len(pooled) == 1:
        return {**pooled[0].call(), "batch": like.shape[1]}, pooled[0]
    for other in pooled:
        written = other.written(code).view(like.shape)
        gradient = written if gradient is None else gradient + written
    if gradient is None:
        gradient = torch.zeros_like(like)
    gradient = aligned(gradient, like)
    return _rows("spikes", gradient), gradient


def empty_over_time(current: Tensor, steps: int, dtype: torch.dtype | None = None) -> Tensor:
    """Allocate ``(steps, B, ...)`` in the layout of ``current``; another one would cost a transposing copy per step."""
    first = current[0]
    if current.dim() > 2 and first.is_contiguous(memory_format=torch.contiguous_format) is False:
        order = sorted(range(first.dim()), key=first.stride, reverse=True)
        shape = [first.shape[axis] for axis in order]
        back = [order.index(axis) + 1 for axis in range(first.dim())]
        return current.new_empty([steps, *shape], dtype=dtype).permute(0, *back)
    return current.new_empty([steps, *first.shape], dtype=dtype)


def aligned(x: Tensor, like: Tensor) -> Tensor:
    """Return ``x`` with each step laid out in memory as those of ``like``, which have no gaps."""
    strides = zip(x.shape[1:], x.stride()[1:], like.stride()[1:], strict=True)
    if all(size == 1 or ours == theirs for size, ours, theirs in strides):
        return x
    return torch.empty_like(like[: len(x)] if len(x) <= len(like) else like).copy_(x)


def _rows(name: str, x: Tensor) -> dict[str, int]:
    return {name: x.data_ptr(), f"{name}_stride": x.stride(0) if len(x) > 1 else 0}


def _dense(slope: Tensor, like: Tensor) -> Tensor:
    return slope.to(like.dtype).expand_as(like).contiguous()
