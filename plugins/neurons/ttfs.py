"""Time-to-first-spike (TTFS) neuron: it gathers its input for a window of S steps, and in the next one fires once.

What has come in goes on adding, as a ramp: an input at step t of S is worth ``S - t`` times its current. Then a
threshold falls by one level a step, from S to 1, until the potential has reached it::

    for t = 0 .. S-1:   slope += X[t];  V += slope                            integrate
    for t = 0 .. S-1:   fire at t, once, if V + rounding >= S - t             fire

so ``V = sum_t (S - t) X[t]``, the neuron emits the level ``n = clip(floor(V + rounding), 0, S)``, and its spike at step
``S - n`` of the window is worth n levels to a neuron of this kind. Level 0 is no spike. All of it needs additions only.
A network whose weights are multiples of a part of a level (``parts``) counts V in whole parts, and nothing depends on
the order of a sum.

Reference: Stanojevic et al., "High-performance deep spiking neural networks with 0.3 spikes per neuron", Nature
Communications 15 (2024), in continuous time. The levels and the falling threshold are the quantised form of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Neuron, Operations, Surrogate, hookimpl
from spikefront.plugins.network.recurrence import empty_over_time
from spikefront.plugins.network.signal import over_time
from spikefront.searchspace import Choice


@dataclass(frozen=True, slots=True)
class TTFSConfig:
    """Hyperparameters of the TTFS neuron."""

    rounding: Annotated[float, Choice((0.5, 0.0))] = 0.5
    """What is added to the potential, in levels: 1/2 rounds to the nearest level, 0 down."""


class TTFS(Neuron):
    """Neuron that fires once in a window, the earlier the larger its potential.

    Its gradient is straight-through: that of a level with respect to the potential is 1 from 0 to S. The gradient of a
    level is what the next earlier spike would change; the surrogate is not asked.

    Attributes:
        parts: whole numbers that one level is divided into, ``(1, 1)`` or ``(1, C)``: the potential is rounded to such
            parts; 0, or None, for a potential of any value.
    """

    name = "ttfs"
    Config = TTFSConfig
    config: TTFSConfig
    codings: ClassVar[frozenset[str] | None] = frozenset({"ttfs", "ttfs-conversion"})
    counts_parts = True
    states = 2  # slope and potential
    parts: Tensor | None

    def __init__(self, config: TTFSConfig | None = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        self.register_buffer("parts", None)

    def forward(self, current: Tensor, steps: int) -> Tensor:
        parts = None if self.parts is None else over_time(self.parts, current)[0].double()
        spikes: Tensor = _FireOnce.apply(current, steps, self.config.rounding, parts)  # type: ignore[no-untyped-call]
        return spikes

    def delay_over(self, steps: int) -> int:
        """Return the window: a neuron fires when all of its input has come."""
        return steps

    def update_operations(self) -> Operations:
        return Operations(adds=1)  # the ramp, or a comparison; at most: comparisons end with the spike

    def operations(self, current: Tensor, spikes: Tensor) -> Operations:
        """Return an addition per step of the first window, and of the second a comparison until the spike."""
        return Operations(adds=spikes.numel() + comparisons(spikes))


def comparisons(spikes: Tensor) -> int:
    """Return the comparisons with a threshold that falls each step, of neurons that fire once, or never, ``(T, ...)``.

    A neuron compares until it has fired, that step included, and else at all T steps.
    """
    waits = 1 - spikes.cumsum(0)  # after each step
    return spikes[0].numel() + int(waits[:-1].sum())


class _FireOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int, rounding: float, parts: Tensor | None) -> Tensor:
        slope = torch.zeros_like(current[0], dtype=torch.float64)
        potential = torch.zeros_like(slope)
        for t in range(steps):
            slope.add_(current[t if len(current) > 1 else 0])
            potential.add_(slope)
        if parts is not None:
            potential = torch.where(parts > 0, (potential * parts).round() / parts, potential)
        level = potential.add(rounding).floor_().clamp_(0, steps)
        spikes = empty_over_time(current, steps)
        for t in range(steps):
            spikes[t] = level == steps - t
        ctx.save_for_backward(level, (potential >= 0) & (potential <= steps))
        ctx.constant = len(current) == 1
        return spikes

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor) -> tuple[Tensor | None, ...]:
        level, passes = ctx.saved_tensors
        steps = len(grad_spikes)
        later = torch.cat([grad_spikes, torch.zeros_like(grad_spikes[:1])])
        place = (steps - level).long().clamp_(min=1).unsqueeze(0)  # of the spike; of the largest level, the next lower
        grad_level = (later.gather(0, place - 1) - later.gather(0, place)) * passes
        worth = torch.arange(steps, 0, -1, device=level.device, dtype=grad_spikes.dtype)
        if ctx.constant:
            return grad_level * worth.sum(), None, None, None
        return grad_level * over_time(worth, grad_spikes), None, None, None


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(TTFS)
