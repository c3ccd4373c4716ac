"""Straight-through estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class StraightThrough(Surrogate):
    """Straight-through estimator: 1, or ``leak`` where ``x < 0`` (Bengio et al., 2013).

    Other leaks give SpikingJelly's LeakyKReLU with k = 1. It has no tails: the area is infinite.
    """

    name = "straight-through"
    leak: Annotated[float, Float(0.0, 1.0)] = 1.0
    """Derivative below the threshold."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ones_like(x) if self.leak == 1 else (x >= 0).to(x.dtype).clamp_min_(self.leak)

    def quotient(self) -> Quotient:
        return Quotient(below=self.leak)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(StraightThrough)
