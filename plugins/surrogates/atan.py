"""Arc-tangent surrogate gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class ATan(Surrogate):
    """Derivative of an arc tangent: ``(a/2) / (1 + (pi/2 a x)^2)`` (Fang et al., ICCV 2021)."""

    name = "atan"
    alpha: Annotated[float, Float(1.0, 10.0, log=True)] = 2.0
    """Steepness a at the threshold; the peak is a/2."""

    def __call__(self, x: Tensor) -> Tensor:
        # the halves of the fraction multiplied by 2/a, so that two passes over memory do
        scale = 2 / self.alpha
        return torch.addcmul(x.new_tensor(scale), x, x, value=scale * (math.pi / 2 * self.alpha) ** 2).reciprocal_()

    def quotient(self) -> Quotient:
        scale = 2 / self.alpha
        return Quotient(constant_term=scale, square_term=scale * (math.pi / 2 * self.alpha) ** 2)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(ATan)
