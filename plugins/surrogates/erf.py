"""Gaussian surrogate gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Exponential, Float, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class Erf(Surrogate):
    """Normal density, the derivative of an error function: ``(a/sqrt(pi)) exp(-(ax)^2)``."""

    name = "erf"
    alpha: Annotated[float, Float(0.5, 5.0, log=True)] = 2.0
    """Steepness a; the standard deviation is 1/(a sqrt(2)), the peak a/sqrt(pi)."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x * self.alpha).square_().neg_().exp_().mul_(self.alpha / math.sqrt(math.pi))

    def exponential(self) -> Exponential:
        return Exponential(height=self.alpha / math.sqrt(math.pi), curve=self.alpha**2)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(Erf)
