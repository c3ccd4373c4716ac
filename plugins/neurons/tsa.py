"""Ternary self-amplifying (TSA) neuron: its spikes are signed digits, the most significant first.

At each step the membrane potential grows ``base`` times, so a spike of an earlier step is worth ``base`` times more::

    V = base V + X[n]                       for n = 1 .. T+d, with X[n] = 0 for n > T
    s = 1 if V >= r theta'; -1 if V <= -r theta'; else 0      for n > d, with theta' = threshold base^d
    s = 0 if s = -1 and base O < 1          the ReLU rule: what was emitted so far, O, must not fall below 0
    V = V - theta' s;  O = base O + s;  S[n-d] = s

For d steps, the silent period, it only integrates, so that it knows d more digits of its input than it has emitted; a
negative spike takes back what later input contradicts. Currents and spikes are aligned digit by digit: digit k of the
output answers to digits 1 .. k+d of the input and leaves the neuron d steps after digit k has come in. Charge is
conserved: ``sum_n base^(T+d-n) X[n] = theta' sum_k base^(T-k) S[k] + V``.

Reference: Gu, Gu, Shen & Huang, "Canonic signed spike coding" (2024), arXiv:2408.17245, reconstructed: no code is
public. We state the ReLU rule by ``base O < 1``; it is the paper's ``O <= 0`` for base >= 2 and holds below too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from spikefront.plugins import Kind, Neuron, Operations, Surrogate, hookimpl
from spikefront.plugins.network.operations import product_by
from spikefront.plugins.network.recurrence import Recurrence, empty_over_time, native, recur
from spikefront.searchspace import PINNED, Choice, Float, Int, Snap, When


@dataclass(frozen=True, slots=True)
class TSAConfig:
    """Hyperparameters of the TSA neuron."""

    base: Annotated[float, Float(1.2, 3.0), Snap((2.0,))] = 2.0
    """Growth of the membrane potential in a step: the base of the digits; 2 grows by a shift."""
    silent_period: Annotated[int, Int(0, 2)] = 1
    """Steps d for which it integrates before it may fire."""
    ternary: Annotated[bool, Choice((True, False))] = True
    """Whether it also fires negatively; if not, it fires at the full threshold."""
    fire_ratio: Annotated[float, Float(0.4, 0.75), When("ternary", (True,))] = 0.5
    """Share r of the threshold at which it fires; 2/3 gives fewer spikes and a larger error than 1/2."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Value that a spike takes from the membrane potential, in units of the current."""
    relu: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the number that it emits is kept from falling below 0, as a rectifier's."""


class TSA(Neuron):
    """Neuron that grows its own membrane potential and emits signed digits.

    Its gradient goes through the reset; one that ignored it would grow ``base`` times per step. The surrogate is taken
    of ``V/theta' - r`` and, where a negative spike is allowed, of ``-V/theta' - r``. A rectangle of width 1 and r = 1/2
    then make it the straight-through estimator within ``0 < |V| < theta'``.
    """

    name = "tsa"
    Config = TSAConfig
    config: TSAConfig
    inputs = frozenset({"static", "events"})  # its numbers are of few steps
    kind = Kind.TERNARY

    def forward(self, current: Tensor, steps: int) -> Tensor:
        if code := native(current, steps):
            return recur(current, self._recurrence(steps), self.surrogate, code)
        digits: Tensor = _SelfAmplify.apply(current, steps, self.config, self.surrogate)  # type: ignore[no-untyped-call]
        return digits

    def _recurrence(self, steps: int) -> Recurrence:
        config = self.config
        step = config.threshold * config.base**config.silent_period
        ratio = config.fire_ratio if config.ternary else 1.0
        return Recurrence(
            fires=(ratio * step,) * steps,
            losses=(step,) * steps,
            keep=config.base,
            detach_reset=False,
            ternary=config.ternary,
            silent=config.silent_period,
            base=config.base if config.ternary and config.relu else None,
            unit=step,
            margin=ratio,
        )

    @property
    def delay(self) -> int:
        return self.config.silent_period

    @property
    def states(self) -> int:  # type: ignore[override]
        return 2 if self.config.ternary and self.config.relu else 1  # the number emitted so far

    def update_operations(self) -> Operations:
        grow = product_by(self.config.base)
        update = grow + Operations(adds=3 if self.config.ternary else 2)  # take the current in, compare with each bound
        if self.config.ternary and self.config.relu:
            update += grow + Operations(adds=1)  # the number emitted so far
        return update

    def spike_operations(self) -> Operations:
        return Operations(adds=1)  # soft reset


class _SelfAmplify(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int, config: TSAConfig, surrogate: Surrogate) -> Tensor:
        base, silent = config.base, config.silent_period
        step = config.threshold * base**silent  # theta'
        ratio = config.fire_ratio if config.ternary else 1.0
        potential = empty_over_time(current, steps + silent)  # V, before the reset
        spikes = empty_over_time(current, steps)
        emitted = torch.zeros_like(spikes[0])  # O
        # where the ReLU rule lets a neuron fire negatively
        allowed = torch.empty_like(spikes, dtype=torch.bool) if config.ternary and config.relu else None
        before = torch.zeros_like(potential[0])  # V of the step before, after the reset
        for n in range(steps + silent):
            before = v = torch.mul(before, base, out=potential[n])
            if n < steps:
                v.add_(current[n if len(current) > 1 else 0])
            if n < silent:
                continue
            s = torch.ge(v, ratio * step, out=spikes[n - silent])
            if config.ternary:
                negative = v <= -ratio * step
                if allowed is not None:
                    negative &= torch.ge(emitted.mul_(base), 1, out=allowed[n - silent])
                s.sub_(negative.to(s.dtype))
                emitted.add_(s)
            before = torch.sub(v, s, alpha=step)
        ctx.save_for_backward(potential, allowed)
        ctx.rule = (len(current) == 1, steps, step, ratio, config, surrogate)
        return spikes

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor) -> tuple[Tensor | None, ...]:
        potential, allowed = ctx.saved_tensors
        constant, steps, step, ratio, config, surrogate = ctx.rule
        silent = config.silent_period
        grad_current = torch.zeros_like(potential[:1]) if constant else torch.empty_like(potential[:steps])
        grad_v = torch.zeros_like(potential[0])  # gradient of V after the reset
        for n in reversed(range(steps + silent)):
            if n >= silent:
                share = potential[n] / step
                slope = surrogate(share - ratio)  # of the spike with respect to the share
                if config.ternary:
                    lower = surrogate(share.neg_().sub_(ratio))
                    slope.add_(lower if allowed is None else lower.mul_(allowed[n - silent]))
                grad_v.addcmul_(grad_v, slope, value=-1).addcmul_(slope, grad_spikes[n - silent], value=1 / step)
            if constant and n < steps:
                grad_current[0].add_(grad_v)
            elif n < steps:
                grad_current[n] = grad_v
            grad_v.mul_(config.base)
        return grad_current, None, None, None


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(TSA)
