"""Surrogate gradients: what stands in for the derivative of the Heaviside step while training.

``x`` is the membrane potential minus the threshold. Each class is its own search space; ``SURROGATES`` lists them by
name. All follow the conventions of SpikingJelly's surrogate functions (Fang et al., Science Advances 9, 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import torch
from torch import Tensor

from spikefront.searchspace import Float


class Surrogate(Protocol):
    """A surrogate derivative: same shape in and out, elementwise."""

    def __call__(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class ATan:
    """``(a/2) / (1 + (pi/2 a x)^2)``: the derivative of an arc tangent (Fang et al., ICCV 2021)."""

    alpha: Annotated[float, Float(1.0, 10.0, log=True)] = 2.0
    """Steepness a at the threshold; the peak is a/2."""

    def __call__(self, x: Tensor) -> Tensor:
        # the halves of the fraction multiplied by 2/a, so that two passes over memory do
        scale = 2 / self.alpha
        return torch.addcmul(x.new_tensor(scale), x, x, value=scale * (math.pi / 2 * self.alpha) ** 2).reciprocal_()


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """``a s(ax) (1 - s(ax))``: the derivative of a logistic function s."""

    alpha: Annotated[float, Float(1.0, 25.0, log=True)] = 4.0
    """Steepness a; the peak is a/4."""

    def __call__(self, x: Tensor) -> Tensor:
        s = torch.sigmoid(x * self.alpha)
        return (1.0 - s).mul_(s).mul_(self.alpha)


@dataclass(frozen=True, slots=True)
class Triangle:
    """``max(0, g - |x|) / g^2``: a triangle of half-width g and unit area (the surrogate of GAC's CIFAR code)."""

    gamma: Annotated[float, Float(0.5, 2.0)] = 1.0
    """Half-width g, in units of the membrane potential."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().neg_().add_(self.gamma).clamp_min_(0.0).mul_(self.gamma**-2)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """``a`` where ``|x| < 1/(2a)``, else 0: a window of unit area (Wu et al., Frontiers in Neuroscience 12, 2018)."""

    alpha: Annotated[float, Float(0.5, 4.0, log=True)] = 1.0
    """Height a; the window is 1/a wide."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x.abs() < 0.5 / self.alpha).to(x.dtype).mul_(self.alpha)


SURROGATES: Final[dict[str, type]] = {"atan": ATan, "sigmoid": Sigmoid, "triangle": Triangle, "rectangle": Rectangle}
