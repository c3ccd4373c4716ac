"""Phase coding: an input's binary digits, one per step, each worth its place value.

With period K, step t (from 0) carries digit ``k = 1 + t mod K`` of x, and a spike is worth ``2^-k`` at the synapse that
receives it: ``x = sum over k of 2^-k s[k]`` to within ``2^-K`` in every whole period. The weights are a coefficient of
the input edge, so that synapse stays accumulate-only; layers behind it have plain neurons.

Reference: Kim, Kim, Huh, Lee & Choi, "Deep neural networks with weighted spikes", Neurocomputing 311 (2018); the digits
are those of SpikingJelly's weighted phase encoder. We differ in that x above ``1 - 2^-K`` is clamped to it instead of
refused, and that the neurons behind do not weight their own spikes (``phase-conversion`` does that).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl
from spikefront.plugins.neurons.phase import phase_weights
from spikefront.searchspace import PINNED, Choice, Int


@dataclass(frozen=True, slots=True)
class PhaseCodingConfig:
    """Hyperparameters of phase coding."""

    period: Annotated[int, Int(2, 8)] = 8
    """Binary digits K before they repeat; at most T are used."""
    rounding: Annotated[str, Choice(("down", "nearest")), PINNED] = "down"
    """Which K-digit number stands for an input: the one at or below it, or the nearest."""


def phase(x: Tensor, *, steps: int, period: int, rounding: str = "down") -> Tensor:
    """Encode ``x`` as binary digits, the highest first.

    Args:
        x: intensities in [0, 1], any shape ``(*)``; above ``1 - 2^-period`` they are clamped to it.
        steps: number of time steps T, at least 1; a last period may be cut short.
        period: binary digits K, at least 1.
        rounding: ``down`` or ``nearest`` multiple of ``2^-period``.

    Returns:
        Spikes in {0, 1}, shape ``(T, *)``, dtype and device of ``x``.

    Example:
        >>> phase(torch.tensor([0.75, 0.25]), steps=3, period=3)
        tensor([[1., 0.],
                [1., 1.],
                [0., 0.]])
    """
    scaled = x * 2**period  # exact: floats are binary
    level = (scaled.floor() if rounding == "down" else scaled.round()).clamp(0, 2**period - 1)
    below = torch.arange(period - 1, -1, -1, device=x.device, dtype=torch.int32).view(-1, *[1] * x.dim())
    # shifts, since powers of floats are inexact on some devices
    digits: Tensor = ((torch.bitwise_right_shift(level.to(torch.int32), below)) & 1).to(x.dtype)
    return digits[torch.arange(steps, device=x.device) % period]


def _are_whole(values: Tensor) -> bool:
    return bool(((values - values.round()).abs() < 1e-4).all())  # n / 255 * 255 is n but for rounding


class PhaseCoding(Coding):
    """Binary digits of the input, weighted by their place values where they arrive."""

    name = "phase"
    Config = PhaseCodingConfig
    config: PhaseCodingConfig
    step_range = Int(2, 16, log=True)
    weights: Tensor

    def __init__(self, config: PhaseCodingConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.period = min(self.config.period, steps)
        self.register_buffer("weights", torch.tensor(phase_weights(steps, self.period)), persistent=False)

    def encode(self, x: Tensor) -> Signal:
        digits = phase(x, steps=self.steps, period=self.period, rounding=self.config.rounding)
        return Signal(digits, self.steps, Kind.BINARY, self.weights)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Successive approximation, once, since digits repeat: a comparison per digit, a subtraction per 1.

        Nothing for inputs whose digits are there already: numbers of K binary digits, and pixels of 8 bits, n / 255,
        whose K <= 8 digits, rounded down, are the first K bits of n.
        """
        pixels = self.config.rounding == "down" and self.period <= 8
        if _are_whole(x * 2**self.period) or (pixels and _are_whole(x * 255)):
            return Operations()
        rounds = x.numel() if self.config.rounding == "nearest" else 0  # half a digit more
        ones = int((code.values[: self.period] != 0).sum())
        return Operations(adds=self.period * x.numel() + ones + rounds)

    def cuts(self) -> tuple[int, ...]:
        """Return the ends of whole periods: within one the input is coarser than what the network was trained on."""
        return tuple(range(self.period, self.steps, self.period))


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(PhaseCoding)
