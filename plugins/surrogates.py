"""Surrogate gradients: what stands in for the derivative of the Heaviside step while training.

``x`` is the membrane potential minus the threshold. Each class is its own search space; ``SURROGATES`` lists them by
name. Those that SpikingJelly has too follow its conventions (Fang et al., Science Advances 9, 2023).
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


@dataclass(frozen=True, slots=True)
class FastSigmoid:
    """``1 / (1 + k|x|)^2``: the slope of a fast sigmoid, scaled to peak at 1 (Zenke & Ganguli, SuperSpike, 2018)."""

    k: Annotated[float, Float(1.0, 100.0, log=True)] = 25.0
    """Steepness k; the area is 2/k, so a steep one also passes less gradient."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(self.k).add_(1.0).pow_(-2)


@dataclass(frozen=True, slots=True)
class SoftSign:
    """``a / (2 (1 + a|x|)^2)``: the derivative of a soft sign; a fast sigmoid of unit area."""

    alpha: Annotated[float, Float(0.5, 10.0, log=True)] = 2.0
    """Steepness a; the peak is a/2."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(self.alpha).add_(1.0).pow_(-2).mul_(self.alpha / 2)


@dataclass(frozen=True, slots=True)
class PiecewiseExp:
    """``(a/2) exp(-a|x|)``: exponential decay on both sides (Shrestha & Orchard, SLAYER, NeurIPS 2018)."""

    alpha: Annotated[float, Float(0.5, 5.0, log=True)] = 1.0
    """Rate a of the decay; the peak is a/2."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(-self.alpha).exp_().mul_(self.alpha / 2)


@dataclass(frozen=True, slots=True)
class Erf:
    """``(a/sqrt(pi)) exp(-(ax)^2)``: a normal density, the derivative of an error function."""

    alpha: Annotated[float, Float(0.5, 5.0, log=True)] = 2.0
    """Steepness a; the standard deviation is 1/(a sqrt(2)), the peak a/sqrt(pi)."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x * self.alpha).square_().neg_().exp_().mul_(self.alpha / math.sqrt(math.pi))


@dataclass(frozen=True, slots=True)
class QPseudoSpike:
    """``(1 + 2|x|/(a-1))^-a``: its tail is fat for a small a, thin for a large one (Herranz-Celotti & Rouat, 2022)."""

    alpha: Annotated[float, Float(1.5, 5.0)] = 2.0
    """Exponent a, above 1; the peak is 1."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(2 / (self.alpha - 1)).add_(1.0).pow_(-self.alpha)


@dataclass(frozen=True, slots=True)
class StraightThrough:
    """1 where ``x >= 0``, else ``leak``; 1 everywhere is the straight-through estimator (Bengio et al., 2013).

    Other leaks give SpikingJelly's LeakyKReLU with k = 1. It has no tails: the area is infinite.
    """

    leak: Annotated[float, Float(0.0, 1.0)] = 1.0
    """Derivative below the threshold."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ones_like(x) if self.leak == 1 else (x >= 0).to(x.dtype).clamp_min_(self.leak)


SURROGATES: Final[dict[str, type]] = {
    "atan": ATan,
    "sigmoid": Sigmoid,
    "triangle": Triangle,
    "rectangle": Rectangle,
    "fast-sigmoid": FastSigmoid,
    "softsign": SoftSign,
    "piecewise-exp": PiecewiseExp,
    "erf": Erf,
    "q-pseudo-spike": QPseudoSpike,
    "straight-through": StraightThrough,
}
