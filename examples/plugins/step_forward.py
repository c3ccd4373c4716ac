"""Step-forward coding: a baseline climbs to the input in equal steps, and each step up or down is a spike.

The baseline starts at ``start`` and moves by ``threshold`` while it is further than that from the input. For an input
that stands still, step t (from 0) carries ``sign(x - start)`` if ``|x - start| > (t + 1) threshold``, and nothing
otherwise: an input near the start is silent, a far one fires for long, and inputs beyond T steps look alike.

Reference: Petro, Kasabov & Kiss, "Selection and optimization of temporal spike encoding methods for spiking neural
networks", IEEE TNNLS 31 (2020). There the input is a time series; here it is one value, held for T steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Coding, Float, Int, Kind, Operations, Signal, hookimpl


@dataclass(frozen=True, slots=True)
class StepForwardConfig:
    """Hyperparameters of step-forward coding."""

    threshold: Annotated[float, Float(0.02, 0.5, log=True)] = 0.1
    """Height of one step (same unit as the input)."""
    start: Annotated[float, Float(0.0, 1.0)] = 0.0
    """Where the baseline starts: the input that needs no spikes."""


def step_forward(x: Tensor, *, steps: int, threshold: float, start: float = 0.0) -> Tensor:
    """Encode ``x`` as the steps of a baseline that follows it.

    Args:
        x: intensities in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.
        threshold: height of one step, above 0.
        start: where the baseline starts.

    Returns:
        Spikes in {-1, 0, 1}, shape ``(T, *)``, dtype and device of ``x``.

    Example:
        >>> step_forward(torch.tensor([0.7, 0.1]), steps=3, threshold=0.25)
        tensor([[1., 0.],
                [1., 0.],
                [0., 0.]])
    """
    distance = x - start
    climbed = threshold * torch.arange(1, steps + 1, device=x.device, dtype=x.dtype).view(-1, *[1] * x.dim())
    return distance.sign() * (distance.abs() > climbed)


class StepForward(Coding):
    """One ternary spike for each step that a baseline takes towards the input."""

    name = "step-forward"
    Config = StepForwardConfig
    config: StepForwardConfig
    step_range = Int(2, 16, log=True)

    def encode(self, x: Tensor) -> Signal:
        spikes = step_forward(x, steps=self.steps, threshold=self.config.threshold, start=self.config.start)
        return Signal(spikes, self.steps, Kind.TERNARY)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """A difference, a comparison at each step until one fails, and a step of the baseline for each spike."""
        spikes = (code.values != 0).sum(0)
        looks = (spikes + 1).clamp(max=code.steps)
        return Operations(adds=x.numel() + int(looks.sum()) + int(spikes.sum()))

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(StepForward)
