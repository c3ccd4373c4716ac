"""Latency coding: a stronger input fires earlier, once.

An input x in [0, 1] fires at step (from 0) ``round((T-1)(1-x))`` in the linear form, at ``round(T-1 - ln(a x + 1))``
with ``a = exp(T-1) - 1`` in the logarithmic form. Both fire at step 0 for x = 1. These are the forms of SpikingJelly's
latency encoder; we differ in that an input at or below ``threshold`` stays silent, where SpikingJelly fires at the last
step.

Reference: Thorpe, Delorme & Van Rullen, "Spike-based strategies for rapid processing", Neural Networks 14 (2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl
from spikefront.plugins.bases.decoding import Decoding, DecodingConfig
from spikefront.searchspace import Choice, Float, Int


@dataclass(frozen=True, slots=True)
class LatencyConfig(DecodingConfig):
    """Hyperparameters of latency coding."""

    curve: Annotated[str, Choice(("linear", "log"))] = "linear"
    """How the firing time depends on the input."""
    threshold: Annotated[float, Float(0.0, 0.2)] = 0.0
    """Inputs at or below this value never fire (same unit as the input)."""


def firing_time(x: Tensor, *, steps: int, curve: str = "linear") -> Tensor:
    """Return the step, from 0, at which each input fires.

    Args:
        x: intensities in [0, 1], any shape.
        steps: number of time steps T, at least 1.
        curve: ``linear`` or ``log``.

    Example:
        >>> firing_time(torch.tensor([1.0, 0.5, 0.0]), steps=5)
        tensor([0., 2., 4.])
    """
    if curve == "linear":
        return ((steps - 1) * (1 - x)).round()
    return (steps - 1 - torch.log(math.expm1(steps - 1) * x + 1)).round()


def latency(x: Tensor, *, steps: int, curve: str = "linear", threshold: float = 0.0) -> Tensor:
    """Encode ``x`` as at most one spike per element.

    Args:
        x: intensities in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.
        curve: ``linear`` or ``log``.
        threshold: inputs at or below it stay silent.

    Returns:
        Spikes in {0, 1}, shape ``(T, *)``, dtype and device of ``x``.
    """
    time = torch.arange(steps, device=x.device, dtype=x.dtype).view(-1, *[1] * x.dim())
    return ((time == firing_time(x, steps=steps, curve=curve)) & (x > threshold)).to(x.dtype)


class Latency(Decoding):
    """One spike per input, the earlier the stronger."""

    name = "latency"
    Config = LatencyConfig
    config: LatencyConfig
    step_range = Int(3, 16, log=True)

    def encode(self, x: Tensor) -> Signal:
        spikes = latency(x, steps=self.steps, curve=self.config.curve, threshold=self.config.threshold)
        return Signal(spikes, self.steps, Kind.BINARY)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """A comparison with a falling ramp at each step until the spike; the ramp is the same for all inputs."""
        fired = code.values != 0
        steps = torch.where(fired.any(0), fired.int().argmax(0) + 1, code.steps)
        return Operations(adds=int(steps.sum()))

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(Latency)
