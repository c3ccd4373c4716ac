"""q-pseudo-spike surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class QPseudoSpike(Surrogate):
    """Pseudo-spike with a power-law tail: ``(1 + 2|x|/(a-1))^-a`` (Herranz-Celotti & Rouat, 2022)."""

    name = "q-pseudo-spike"
    alpha: Annotated[float, Float(1.5, 5.0)] = 2.0
    """Exponent a, above 1; the peak is 1."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(2 / (self.alpha - 1)).add_(1.0).pow_(-self.alpha)

    def quotient(self) -> Quotient | None:
        if self.alpha != 2:
            return None
        return Quotient(linear_term=4.0, square_term=4.0)  # 1 / (1 + 2|x|)^2


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(QPseudoSpike)
