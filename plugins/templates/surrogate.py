"""Surrogate gradient with the shape of a Cauchy density: ``1 / (1 + (x/w)^2)``, whose peak is 1.

Write here what yours is: the equation, and the paper.

Reference: the density of Cauchy (1853); as an arctangent's derivative, Fang et al., ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spikefront.plugins import Float, Quotient, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class MySurrogate(Surrogate):
    """``1 / (1 + (x/w)^2)``: a Cauchy density, scaled to peak at 1.

    Example:
        >>> import torch
        >>> MySurrogate(w=0.5)(torch.tensor([0.0, 0.5]))
        tensor([1.0000, 0.5000])
    """

    name = "my-surrogate"
    w: Annotated[float, Float(0.1, 2.0, log=True)] = 0.5
    """Half-width at half of the peak."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x / self.w).square().add(1).reciprocal()

    def quotient(self) -> Quotient | None:
        return Quotient(constant_term=1.0, square_term=self.w**-2)  # the same, for the neuron's compiled backward pass


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(MySurrogate)
