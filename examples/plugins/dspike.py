"""A surrogate gradient: the derivative of Dspike, a hyperbolic tangent that is cut off half a unit from the threshold.

``b (1 - tanh(b x)^2) / (2 tanh(b/2))`` where ``|x| <= 1/2``, else 0. Its area is 1. It goes to a window of height 1 for
small b, and to a Dirac impulse for large b.

Reference: Li et al., "Differentiable spike: rethinking gradient-descent for training spiking neural networks", NeurIPS
2021, who fit b to finite differences while training; here it is a hyperparameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Float, Surrogate, hookimpl


@dataclass(frozen=True, slots=True)
class Dspike(Surrogate):
    """``b (1 - tanh(b x)^2) / (2 tanh(b/2))`` where ``|x| <= 1/2``, else 0 (Li et al., NeurIPS 2021)."""

    name = "dspike"
    b: Annotated[float, Float(0.5, 10.0, log=True)] = 3.0
    """Temperature b; the peak is ``b / (2 tanh(b/2))``."""

    def __call__(self, x: Tensor) -> Tensor:
        slope = (1 - torch.tanh(self.b * x).square()) * (self.b / 2 / math.tanh(self.b / 2))
        return slope * (x.abs() <= 0.5)


@hookimpl
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    register(Dspike)
