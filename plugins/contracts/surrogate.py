"""The contract of a surrogate gradient."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from torch import Tensor

from spikefront.plugins.contracts.plugin import SelfConfigured


@dataclass(frozen=True, slots=True)
class Quotient:
    """A surrogate gradient as a quotient, from which native code computes it.

    It is ``max(0, side - fall |x|) / (constant_term + linear_term |x| + square_term x^2)``, and 0 where
    ``|x| >= width``; side is 1, or ``below``, in [0, 1], where ``x < 0``.
    """

    constant_term: float = 1.0
    linear_term: float = 0.0
    square_term: float = 0.0
    fall: float = 0.0
    width: float = inf
    below: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """Return the derivative at each element, as native code computes it."""
        size = x.abs()
        side = (x >= 0).to(x.dtype).clamp_min(self.below)
        top = (side - self.fall * size).clamp_min(0.0) * (size < self.width)
        return top / (self.constant_term + self.linear_term * size + self.square_term * size.square())


@dataclass(frozen=True, slots=True)
class Exponential:
    """A surrogate gradient by an exponential, from which native code computes it.

    It is ``height e / (1 + bend e)^2`` with ``e = exp(-(rate |x| + curve x^2))``.
    """

    height: float
    rate: float = 0.0
    curve: float = 0.0
    bend: float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        """Return the derivative at each element, as native code computes it."""
        size = x.abs()
        e = (-(self.rate * size + self.curve * size.square())).exp()
        return self.height * e / (1 + self.bend * e).square()


class Surrogate(SelfConfigured):
    """A surrogate gradient: the derivative of the Heaviside step during training.

    A surrogate is its own config, a frozen dataclass::

        @dataclass(frozen=True, slots=True)
        class Box(Surrogate):
            \"\"\"1 where ``|x| < w``, else 0.\"\"\"

            name = "box"
            w: Annotated[float, Float(0.1, 2.0)] = 0.5
            \"\"\"Half-width w.\"\"\"

            def __call__(self, x):
                return (x.abs() < self.w).to(x.dtype)
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the derivative at each element.

        Args:
            x: membrane potential minus threshold, any shape; must not be changed.

        Returns:
            A new tensor of the shape, dtype and device of ``x``.
        """
        raise TypeError(f"{type(self).__name__} must define __call__(x)")

    def quotient(self) -> Quotient | None:
        """Return the derivative as a quotient, if it is one; None, the default, has torch compute it.

        Gradients are the same either way but for rounding; on CPUs and GPUs a quotient is computed with the neuron, in
        one pass over memory.
        """
        return None

    def exponential(self) -> Exponential | None:
        """Return the derivative by an exponential, as ``quotient`` does; None, the default, if it is not of that form.

        Only where it is not a quotient.
        """
        return None
