"""Sigmoid surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Exponential, Float, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class Sigmoid(Surrogate):
    """Derivative of a logistic function s: ``a s(ax) (1 - s(ax))``."""

    name = "sigmoid"
    alpha: Annotated[float, Float(1.0, 25.0, log=True)] = 4.0
    """Steepness a; the peak is a/4."""

    def __call__(self, x: Tensor) -> Tensor:
        s = torch.sigmoid(x * self.alpha)
        return (1.0 - s).mul_(s).mul_(self.alpha)

    def exponential(self) -> Exponential:
        return Exponential(height=self.alpha, rate=self.alpha, bend=1.0)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(Sigmoid)
