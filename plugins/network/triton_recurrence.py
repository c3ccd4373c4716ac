"""The membrane recurrence on a GPU: launches of Triton's kernels, and the gradient.

This module is imported where there is a GPU; Triton's interpreter runs it on CPU tensors (``TRITON_INTERPRET=1``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikefront.plugins.contracts.surrogate import Quotient, Surrogate
from spikefront.plugins.network.formulas import formula_of
from spikefront.plugins.network.recurrence import Recurrence, aligned, empty_over_time
from spikefront.plugins.network.triton_kernels import BLOCK, learn, spike

_CHUNK: Final = 1 << 24
"""Neuron steps whose derivatives torch computes at a time, for a surrogate without a formula."""

_TERMS: Final = (
    *("constant_term", "linear_term", "square_term", "fall", "width", "below"),  # of a ``Quotient``
    *("height", "rate", "curve", "bend"),  # of an ``Exponential``
)


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
        call |= _rows("kept", kept) | {"constant": constant, "neurons": neurons}
        terms = None if leak is None else torch.empty(neurons, dtype=torch.float32, device=leak.device)
        call["on_leak"] = terms
        if (formula := formula_of(surrogate)) is not None:
            name = "quotient" if isinstance(formula, Quotient) else "exponential"
            _launch(learn, call | asdict(formula) | {"formula": name})
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
        slopes = {"upper": upper, "lower": lower, "slope_stride": upper.shape[1], "formula": ""}
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
        **dict.fromkeys(_TERMS, 0.0),
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
