"""Soft-sign surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class SoftSign(Surrogate):
    """Derivative of a soft sign, a fast sigmoid of unit area: ``a / (2 (1 + a|x|)^2)``."""

    name = "softsign"
    alpha: Annotated[float, Float(0.5, 10.0, log=True)] = 2.0
    """Steepness a; the peak is a/2."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(self.alpha).add_(1.0).pow_(-2).mul_(self.alpha / 2)

    def quotient(self) -> Quotient:
        return Quotient(constant_term=2 / self.alpha, linear_term=4.0, square_term=2 * self.alpha)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(SoftSign)
