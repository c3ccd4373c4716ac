"""Evenly spaced spikes: an input x in [0, 1] fires in a share ``min(gain x, 1)`` of the steps, as evenly as can be.

Step t, from 1, carries a spike where ``floor(t min(gain x, 1))`` is one more than at the step before. Write here what
yours does: the idea, the equation, and the paper.

Reference: Bresenham, "Algorithm for computer control of a digital plotter", IBM Systems Journal 4 (1965).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Coding, Float, Int, Kind, Operations, Signal, hookimpl


@dataclass(frozen=True, slots=True)
class MyCodingConfig:
    """Hyperparameters of my-coding."""

    gain: Annotated[float, Float(0.5, 2.0, log=True)] = 1.0
    """Spikes per step of an input of 1; inputs above its inverse fire at every step."""


def my_coding(x: Tensor, *, steps: int, gain: float = 1.0) -> Tensor:
    """Encode ``x`` as evenly spaced spikes.

    Args:
        x: intensities in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.
        gain: factor of the intensity, above 0.

    Returns:
        Spikes in {0, 1}, shape ``(T, *)``, dtype and device of ``x``.

    Example:
        >>> my_coding(torch.tensor([1.0, 0.5]), steps=2)
        tensor([[1., 0.],
                [1., 1.]])
    """
    time = torch.arange(steps + 1, device=x.device, dtype=x.dtype).view(-1, *[1] * x.dim())
    return (time * (gain * x).clamp(max=1)).floor().diff(dim=0)


class MyCoding(Coding):
    """Spikes at equal distances, more of them for a stronger input."""

    name = "my-coding"
    Config = MyCodingConfig
    config: MyCodingConfig
    step_range = Int(2, 16, log=True)

    def encode(self, x: Tensor) -> Signal:
        return Signal(my_coding(x, steps=self.steps, gain=self.config.gain), self.steps, Kind.BINARY)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """An addition and a comparison at each step, and a subtraction for each spike."""
        return Operations(adds=2 * x.numel() * code.steps + int(code.values.sum()))

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps  # all of this holds for fewer steps, too


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(MyCoding)
