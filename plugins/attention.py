"""Attention over time: normalisers that turn free parameters into coefficients, and penalties that shape them.

Shared by every coding that weights time steps, so that attention regularisation is one notion to search over. The set
is reconstructed: the SAC paper (Liu et al., TNNLS 2023) names normalisation and regularisation without its equations
being available to us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from spikefront.searchspace import Choice, Float, When


def sparsemax(u: Tensor) -> Tensor:
    """Project ``u`` ``(T,)`` onto the simplex: like softmax, with exact zeros (Martins & Astudillo, ICML 2016)."""
    sorted_u, _ = u.sort(descending=True)
    rank = torch.arange(1, len(u) + 1, device=u.device, dtype=u.dtype)
    excess = sorted_u.cumsum(0) - 1
    support = int((sorted_u * rank > excess).sum())
    return (u - excess[support - 1] / support).clamp_min(0.0)


NORMALISERS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "softmax": lambda u: u.softmax(0),  # a > 0, sum 1
    "mean1": lambda u: len(u) * u.softmax(0),  # a > 0, sum T: keeps the scale of what it weights
    "sum1": lambda u: (a := F.softplus(u)) / (a.sum() + 1e-6),  # a > 0, sum 1 to within 1e-6
    "l2": lambda u: u / u.norm().clamp_min(1e-6),  # sum of squares 1, any sign
    "sigmoid": torch.sigmoid,  # each in (0, 1)
    "tanh": torch.tanh,  # each in (-1, 1)
    "sparsemax": sparsemax,  # a >= 0, sum 1, with exact zeros
    "none": lambda u: u,
}
"""Normalisers by name: free parameters ``u`` ``(T,)`` to coefficients ``a`` ``(T,)``."""


def entropy(a: Tensor) -> Tensor:
    """Return the Shannon entropy of ``|a|`` scaled to sum 1, in nats, in [0, ln T]."""
    p = _distribution(a)
    return -(p * p.clamp_min(1e-12).log()).sum()  # the slope of p ln p is infinite at the zeros of sparsemax


def effective_steps(a: Tensor) -> Tensor:
    """Return ``exp(entropy)``, in [1, T]: T for uniform coefficients, 1 for one-hot ones."""
    return entropy(a).exp()


def _distribution(a: Tensor) -> Tensor:
    return a.abs() / a.abs().sum().clamp_min(1e-12)


REGULARISERS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "spread": lambda a: -entropy(a),  # towards rate coding
    "concentrate": entropy,  # towards temporal coding: few steps matter
    "uniform": lambda a: (a - a.mean()).square().sum(),  # L2 distance to equal coefficients
    "l1": lambda a: a.abs().sum(),  # sparsity; constant for normalisers of sum 1
    "smooth": lambda a: a.diff().square().sum(),
    "early": lambda a: a.diff().clamp_min(0.0).sum(),  # coefficients should not grow with time
}
"""Penalties by name: coefficients ``a`` ``(T,)`` to a scalar to be minimised."""


@dataclass(frozen=True, slots=True)
class AttentionConfig:
    """Attention regularisation: the hyperparameters of every coding that attends to time steps.

    It acts on what a coding gives each step, ``(T,)``: SAC's coefficients, or the gates of GAC and TCJA, averaged over
    everything but time. Neither GAC nor TCJA is regularised in its paper.
    """

    regulariser: Annotated[str, Choice(("none", *REGULARISERS))] = "none"
    """Penalty on the attention that each step gets."""
    regulariser_weight: Annotated[float, Float(1e-6, 1e-1, log=True), When("regulariser", tuple(REGULARISERS))] = 1e-3
    """Weight of the penalty in the loss."""

    def penalty(self, a: Tensor) -> Tensor | float:
        """Return the weighted penalty on the attention ``a`` ``(T,)`` or, by channel, ``(T, C)``."""
        if self.regulariser == "none":
            return 0.0
        return self.regulariser_weight * REGULARISERS[self.regulariser](a)
