"""Triangular surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class Triangle(Surrogate):
    """Triangle of half-width g and unit area: ``max(0, g - |x|) / g^2`` (the surrogate of GAC's CIFAR code)."""

    name = "triangle"
    gamma: Annotated[float, Float(0.5, 2.0)] = 1.0
    """Half-width g, in units of the membrane potential."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().neg_().add_(self.gamma).clamp_min_(0.0).mul_(self.gamma**-2)

    def quotient(self) -> Quotient:
        return Quotient(constant_term=self.gamma, fall=1 / self.gamma)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(Triangle)
