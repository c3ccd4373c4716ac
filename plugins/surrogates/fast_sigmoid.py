"""Fast-sigmoid surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class FastSigmoid(Surrogate):
    """Slope of a fast sigmoid, scaled to peak at 1: ``1 / (1 + k|x|)^2`` (Zenke & Ganguli, SuperSpike, 2018)."""

    name = "fast-sigmoid"
    k: Annotated[float, Float(1.0, 100.0, log=True)] = 25.0
    """Steepness k; the area is 2/k, so a steep one also passes less gradient."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(self.k).add_(1.0).pow_(-2)

    def quotient(self) -> Quotient:
        return Quotient(linear_term=2 * self.k, square_term=self.k**2)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(FastSigmoid)
