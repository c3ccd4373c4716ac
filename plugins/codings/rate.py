"""Rate coding: a stronger input fires more often.

Bernoulli: ``s[t] = 1`` with probability x, independently at each step; the error of the mean shrinks as ``1/sqrt(T)``.
Deterministic: ``s[t] = floor(t x + 1/2) - floor((t-1) x + 1/2)``, evenly spaced; the spike count is within 1/2 of T x.

Reference: Heeger, "Poisson model of spike generation" (2000), in its one-trial-per-step form; the deterministic form is
the rounding of the ideal count (own derivation). Of a sequence ``t x`` becomes the sum of its points until step t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl
from spikefront.plugins.bases.decoding import Decoding, DecodingConfig
from spikefront.searchspace import Choice, Int


@dataclass(frozen=True, slots=True)
class RateConfig(DecodingConfig):
    """Hyperparameters of rate coding."""

    spikes: Annotated[str, Choice(("bernoulli", "deterministic"))] = "bernoulli"
    """How spikes are placed: at random, or evenly."""


def bernoulli(x: Tensor, *, steps: int) -> Tensor:
    """Encode ``x`` as independent random spikes.

    Args:
        x: firing probabilities in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.

    Returns:
        Spikes in {0, 1}, shape ``(T, *)``. Random: drawn from torch's global generator.
    """
    # x = 1 always fires and x = 0 never does, since rand lies in [0, 1)
    return (torch.rand((steps, *x.shape), device=x.device, dtype=x.dtype) < x).to(x.dtype)


def deterministic(x: Tensor, *, steps: int) -> Tensor:
    """Encode ``x`` as evenly spaced spikes.

    Args:
        x: intensities in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.

    Returns:
        Spikes in {0, 1}, shape ``(T, *)``; their count differs from ``T x`` by at most 1/2.

    Example:
        >>> deterministic(torch.tensor(0.5), steps=4)
        tensor([1., 0., 1., 0.])
    """
    time = torch.arange(steps + 1, device=x.device, dtype=x.dtype).view(-1, *[1] * x.dim())
    return (time * x + 0.5).floor().diff(dim=0)


def accumulated(drive: Tensor) -> Tensor:
    """Encode what changes over time as spikes whose count follows its sum, to within 1/2.

    Args:
        drive: intensities in [0, 1] at each step, ``(T, *)``.

    Returns:
        Spikes in {0, 1}, in the shape of ``drive``; of what stands still, those of ``deterministic``.

    Example:
        >>> accumulated(torch.tensor([0.5, 0.0, 0.25, 0.25]))
        tensor([1., 0., 0., 1.])
    """
    counts = (drive.cumsum(0) + 0.5).floor()
    # a sum that is rounded up may grow by more than the 1 that is added to it
    return counts.diff(dim=0, prepend=torch.zeros_like(counts[:1])).clamp(max=1.0)


def spike_placing(code: Signal, spikes: str) -> Operations:
    """Return the operations by which drives become spikes, one neuron for each.

    Two additions at each step: integrate and compare; an evenly spaced spike takes one more, the soft reset. At random:
    draw a number, with a shift register that feeds back, and compare.

    Args:
        code: the spikes.
        spikes: ``deterministic`` or ``bernoulli``.
    """
    resets = 0 if spikes == "bernoulli" else int(torch.count_nonzero(code.values))
    return Operations(adds=2 * code.values.numel() + resets)


class Rate(Decoding):
    """Firing rate proportional to the input, at random or evenly spaced."""

    name = "rate"
    Config = RateConfig
    config: RateConfig
    step_range = Int(2, 32, log=True)
    inputs = frozenset({"static", "sequences"})

    def encode(self, x: Tensor) -> Signal:
        function = bernoulli if self.config.spikes == "bernoulli" else deterministic
        return Signal(function(x, steps=self.steps), self.steps, Kind.BINARY)

    def encode_sequences(self, points: Tensor) -> Signal:
        drive = self.held(points)
        at_random = self.config.spikes == "bernoulli"
        spikes = (torch.rand_like(drive) < drive).to(drive.dtype) if at_random else accumulated(drive)
        return Signal(spikes, self.steps, Kind.BINARY)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        return spike_placing(code, self.config.spikes)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(Rate)
