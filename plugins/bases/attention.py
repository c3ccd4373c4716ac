"""Attention over time: normalisers that turn free parameters into coefficients, and penalties that shape them.

Shared by every coding that weights time steps, so that attention regularisation is one notion to search over. All act
on time, the first axis: on one vector ``(T,)``, or on ``(T, C)``, each channel by itself. A number that is asked of
``(T, C)`` is the mean over channels, so that the weight of a penalty means the same for any number of them.

The set is **reconstructed**: the SAC paper (Liu et al., TNNLS 2023) names normalisation and regularisation without its
equations being available to us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins.contracts import Between
from spikefront.plugins.network.signal import Signal
from spikefront.searchspace import Choice, Float, When


def sparsemax(u: Tensor) -> Tensor:
    """Project onto the simplex: like softmax, with exact zeros.

    Reference: Martins & Astudillo, "From softmax to sparsemax", ICML (2016).

    Args:
        u: any numbers, ``(T,)`` or ``(T, C)``.

    Returns:
        For each channel the nearest point with ``a >= 0`` and sum 1 over time, in the shape of ``u``.
    """
    descending = u.sort(0, descending=True).values
    rank = _along_time(torch.arange(1, len(u) + 1, device=u.device, dtype=u.dtype), u)
    excess = descending.cumsum(0) - 1
    support = (descending * rank > excess).sum(0, keepdim=True)
    return (u - excess.gather(0, support - 1) / support).clamp_min(0.0)


NORMALISERS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "softmax": lambda u: u.softmax(0),  # a > 0, sum 1
    "mean1": lambda u: len(u) * u.softmax(0),  # a > 0, sum T: keeps the scale of what it weights
    "sum1": lambda u: (a := F.softplus(u)) / a.sum(0).clamp_min(1e-6),  # a > 0, sum 1
    "l2": lambda u: u / u.norm(dim=0).clamp_min(1e-6),  # sum of squares 1, any sign
    "sigmoid": torch.sigmoid,  # each in (0, 1)
    "tanh": torch.tanh,  # each in (-1, 1)
    "sparsemax": sparsemax,  # a >= 0, sum 1, with exact zeros
    "none": lambda u: u,
}
"""Normalisers by name: free parameters ``(T,)`` or ``(T, C)`` to coefficients of the same shape."""

SIGNED: Final = frozenset({"l2", "tanh", "none"})
"""Normalisers whose coefficients may be negative."""


PRESETS: Final[dict[str, Callable[[Tensor, float], Tensor]]] = {
    "rate": lambda t, tau: torch.ones(1) / len(t),
    "count": lambda t, tau: torch.ones(1),
    "phase": lambda t, tau: 2.0**-t,
    "ttfs-linear": lambda t, tau: (len(t) + 1 - t) / len(t),
    "ttfs-exp": lambda t, tau: torch.exp((1 - t) / tau),
    "first": lambda t, tau: (t == 1).float(),
    "last": lambda t, tau: (t == len(t)).float(),
}
"""Coefficients of known codes: ``t = 1..T`` and a time constant to ``(T,)``, or to ``(1,)`` where all are equal."""


def first_spikes(spikes: Signal) -> Signal:
    """Return the edge with no neuron's spikes but its first; no gradient passes through later steps."""
    fired = (spikes.values.detach() != 0).to(spikes.values.dtype)
    return spikes.with_values(spikes.values * (fired.cumsum(0) == fired))


def entropy(a: Tensor) -> Tensor:
    """Return the Shannon entropy of ``|a|`` scaled to sum 1, in nats, in [0, ln T]; the mean over channels."""
    return _entropies(a).mean()


def effective_steps(a: Tensor) -> Tensor:
    """Return ``exp(entropy)``, in [1, T]: T for uniform coefficients, 1 for one-hot ones; the mean over channels."""
    return _entropies(a).exp().mean()


def effective_steps_l2(a: Tensor) -> Tensor:
    """Return ``1 / sum a^2`` of ``|a|`` scaled to sum 1, in [1, T]; the mean over channels.

    The participation ratio: how many equal coefficients have this sum of squares. It is at most ``effective_steps``.
    """
    return (1 / _distribution(a).square().sum(0)).mean()


def _entropies(a: Tensor) -> Tensor:
    p = _distribution(a)
    return -(p * p.clamp_min(1e-12).log()).sum(0)  # the slope of p ln p is infinite at the zeros of sparsemax


def _distribution(a: Tensor) -> Tensor:
    return a.abs() / a.abs().sum(0).clamp_min(1e-12)


def _along_time(vector: Tensor, a: Tensor) -> Tensor:
    return vector.view(-1, *[1] * (a.dim() - 1))


def _distance(a: Tensor, ratio: float) -> Tensor:
    """Return the squared L2 distance to coefficients of the same sum that fall by ``ratio`` at each step."""
    prior = ratio ** torch.arange(len(a), device=a.device, dtype=a.dtype)  # 0 to the 0 is 1: one-hot
    return (a - _along_time(prior / prior.sum(), a) * a.sum(0)).square().sum(0).mean()


REGULARISERS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "spread": lambda a: -entropy(a),  # towards rate coding
    "concentrate": entropy,  # towards temporal coding: few steps matter
    "uniform": lambda a: _distance(a, 1.0),  # towards equal coefficients
    "geometric": lambda a: _distance(a, 0.5),  # towards halving at each step, as in phase coding
    "one-hot": lambda a: _distance(a, 0.0),  # towards the first step alone
    "l1": lambda a: a.abs().sum(0).mean(),  # sparsity; constant for normalisers of sum 1
    "smooth": lambda a: a.diff(dim=0).square().sum(0).mean(),
    "early": lambda a: a.diff(dim=0).clamp_min(0.0).sum(0).mean(),  # coefficients should not grow with time
}
"""Penalties by name: coefficients ``(T,)`` or ``(T, C)`` to a scalar to be minimised, the mean over channels."""


@dataclass(frozen=True, slots=True)
class AttentionConfig:
    """Attention regularisation: the hyperparameters of every coding that attends to time steps.

    It acts on what a coding gives each step: SAC's coefficients, or the gates of GAC and TCJA, averaged over everything
    but time. Neither GAC nor TCJA is regularised in its paper.
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


class Gate(Between):
    """A module that scales a layer's spikes by a gate, which attention regularisation acts on."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        self._attention: Tensor | None = None

    def attend(self, attention: Tensor) -> None:
        """Keep the mean gate of each step ``(T,)`` until ``penalty`` takes it, as a training step does next."""
        if self.training and self.config.regulariser != "none":
            self._attention = attention

    def penalty(self) -> Tensor | float:
        attention, self._attention = self._attention, None
        return 0.0 if attention is None else self.config.penalty(attention)
