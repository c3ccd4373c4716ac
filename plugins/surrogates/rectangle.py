"""Rectangular surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class Rectangle(Surrogate):
    """Window of unit area: ``a`` where ``|x| < 1/(2a)``, else 0 (Wu et al., Frontiers in Neuroscience 12, 2018)."""

    name = "rectangle"
    alpha: Annotated[float, Float(0.5, 4.0, log=True)] = 1.0
    """Height a; the window is 1/a wide."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x.abs() < 0.5 / self.alpha).to(x.dtype).mul_(self.alpha)

    def quotient(self) -> Quotient:
        return Quotient(constant_term=1 / self.alpha, width=0.5 / self.alpha)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(Rectangle)
