"""Burst coding: a charge that piles up is sent in bursts, either of stronger spikes or of several at once.

Each input integrates its own value, ``V += x`` at each step, and sends::

    graded       g[t] = 2 g[t-1] after a spike, else 1;  s[t] = [V >= g[t] threshold];  sends g[t] threshold s[t]
    multi-spike  n[t] = min(max_spikes, floor(V / threshold));                          sends n[t] threshold

and loses what it sends, so what was sent adds up to ``T x`` less what V still holds. Several spikes of one step are a
count, each an accumulate; a graded spike is a power of two, an accumulate behind a shift. The threshold is the edge's
coefficient, which folds into the weights.

Reference: Park, Kim, Choe & Yoon, "Fast and efficient information transmission with burst spikes in deep spiking neural
networks", DAC (2019), for graded bursts; Li & Zeng, "Efficient and accurate conversion of spiking neural network with
burst spikes", IJCAI (2022), for several spikes. Both are **reconstructed** from memory and put at the input only, where
the papers have them in every neuron. Their threshold of graded bursts is 0.125; we start at 1/4, where the default
four spikes carry any input in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl
from spikefront.searchspace import Choice, Float, Int, When


@dataclass(frozen=True, slots=True)
class BurstConfig:
    """Hyperparameters of burst coding."""

    burst: Annotated[str, Choice(("multi-spike", "graded"))] = "multi-spike"
    """What a burst is: several spikes in one step, or spikes in successive steps that double in strength."""
    max_spikes: Annotated[int, Int(2, 5), When("burst", ("multi-spike",))] = 4
    """Most spikes of one input in one step; above ``max_spikes * threshold`` inputs look alike."""
    threshold: Annotated[float, Float(0.05, 1.0, log=True)] = 0.25
    """Charge of one spike (same unit as the input)."""


def multi_spike(x: Tensor, *, steps: int, threshold: float, max_spikes: int) -> Tensor:
    """Encode ``x`` as numbers of spikes.

    Args:
        x: charge per step, in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.
        threshold: charge of one spike, above 0.
        max_spikes: most spikes in one step, at least 1.

    Returns:
        Numbers of spikes in {0, ..., max_spikes}, shape ``(T, *)``, dtype and device of ``x``.

    Example:
        >>> multi_spike(torch.tensor([0.75, 0.25]), steps=3, threshold=0.5, max_spikes=2)
        tensor([[1., 0.],
                [2., 1.],
                [1., 0.]])
    """
    charge, sent = torch.zeros_like(x), []
    for _ in range(steps):
        charge = charge + x
        spikes = (charge / threshold).floor().clamp(0, max_spikes)  # rounding can leave a charge just below 0
        charge = charge - threshold * spikes
        sent.append(spikes)
    return torch.stack(sent)


def graded(x: Tensor, *, steps: int, threshold: float) -> Tensor:
    """Encode ``x`` as spikes that double in strength while they follow each other.

    Args:
        x: charge per step, in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.
        threshold: strength of a burst's first spike, above 0.

    Returns:
        What each step sends, 0 or ``threshold`` times a power of 2, shape ``(T, *)``, dtype and device of ``x``.

    Example:
        >>> graded(torch.tensor([0.75, 0.25]), steps=3, threshold=0.25)
        tensor([[0.2500, 0.2500],
                [0.5000, 0.0000],
                [1.0000, 0.2500]])
    """
    charge, strength, sent = torch.zeros_like(x), torch.full_like(x, threshold), []
    for _ in range(steps):
        charge = charge + x
        fires = charge >= strength
        sent.append(strength * fires)
        charge = charge - sent[-1]
        strength = torch.where(fires, 2 * strength, threshold)
    return torch.stack(sent)


class Burst(Coding):
    """Bursts of spikes, stronger or more of them, that follow the input's running sum (reconstructed)."""

    name = "burst"
    Config = BurstConfig
    config: BurstConfig
    step_range = Int(2, 32, log=True)  # a graded burst needs a second step

    def encode(self, x: Tensor) -> Signal:
        steps, threshold = self.steps, self.config.threshold
        if self.config.burst == "graded":
            powers = graded(x, steps=steps, threshold=threshold) / threshold  # exact: it is a threshold times 2^k
            return Signal(powers, steps, Kind.POWER, x.new_full((1,), threshold))
        spikes = multi_spike(x, steps=steps, threshold=threshold, max_spikes=self.config.max_spikes)
        return Signal(spikes, steps, Kind.COUNT, x.new_full((1,), threshold))

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Integrate at each step, compare, and subtract what is sent.

        A burst of several spikes is compared for one after the other, until the charge is too small or ``max_spikes``
        are sent. A graded one is compared once; its strength doubles by a shift.
        """
        steps, sent = code.values.numel(), int((code.values != 0).sum())
        if self.config.burst == "graded":
            return Operations(adds=2 * steps + sent, shifts=sent)
        looks = (code.values + 1).clamp(max=self.config.max_spikes).sum(dtype=torch.float64)
        return Operations(adds=steps + int(looks) + int(code.values.sum(dtype=torch.float64)))

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(Burst)
