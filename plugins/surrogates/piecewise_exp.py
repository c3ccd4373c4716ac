"""Exponential surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Exponential, Float, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class PiecewiseExp(Surrogate):
    """Exponential decay on both sides: ``(a/2) exp(-a|x|)`` (Shrestha & Orchard, SLAYER, NeurIPS 2018)."""

    name = "piecewise-exp"
    alpha: Annotated[float, Float(0.5, 5.0, log=True)] = 1.0
    """Rate a of the decay; the peak is a/2."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(-self.alpha).exp_().mul_(self.alpha / 2)

    def exponential(self) -> Exponential:
        return Exponential(height=self.alpha / 2, rate=self.alpha)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(PiecewiseExp)
