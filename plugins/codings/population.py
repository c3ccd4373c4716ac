"""Population coding: each input becomes several neurons, each firing most at a value of its own.

Field k (from 0) of K has its centre at ``m_k = k / (K-1)`` and answers x in [0, 1] with ``a_k = exp(-(x - m_k)^2 / (2
sigma^2))`` in (0, 1], which becomes spikes at random or through an integrate-and-fire neuron (threshold 0.999, soft
reset) that is driven by it. A dark pixel is about as loud as a bright one: other neurons fire for it.

Reference: Tang, Kumar, Yoo & Michmizos, "Deep reinforcement learning with population-coded spiking neural network for
continuous control", CoRL (2020), in the form of SpikingJelly's population encoders. We differ in that centres and
widths are not learnt, and that spikes are computed in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl
from spikefront.plugins.bases.decoding import Decoding, DecodingConfig
from spikefront.plugins.codings.rate import bernoulli, spike_placing
from spikefront.searchspace import Choice, Float, Int

_THRESHOLD: Final = 0.999  # below 1, so that rounding can't keep the strongest drive from firing


@dataclass(frozen=True, slots=True)
class PopulationConfig(DecodingConfig):
    """Hyperparameters of population coding."""

    fields: Annotated[int, Int(2, 8)] = 4
    """Neurons per input channel, K; the first synapse has K times the inputs."""
    width: Annotated[float, Float(0.25, 2.0, log=True)] = 0.5
    """Standard deviation of a field, in distances between centres."""
    spikes: Annotated[str, Choice(("deterministic", "bernoulli"))] = "deterministic"
    """How spikes are placed: by integrate-and-fire neurons, or at random."""


def receptive_fields(x: Tensor, *, fields: int, width: float) -> Tensor:
    """Return the answers of Gaussian fields with centres spread evenly over [0, 1].

    Args:
        x: intensities in [0, 1], ``(B, C, ...)``.
        fields: fields per channel K, at least 2.
        width: standard deviation, in distances between centres.

    Returns:
        Values in (0, 1] up to underflow, ``(B, C*K, ...)``; channel ``c K + k`` is field k of channel c.
    """
    centres = torch.linspace(0, 1, fields, device=x.device, dtype=x.dtype)
    distance = (x.unsqueeze(2) - centres.view(-1, *[1] * (x.dim() - 2))) * (fields - 1) / width
    return torch.exp(-0.5 * distance.square()).flatten(1, 2)


def integrate_and_fire(drive: Tensor, *, steps: int) -> Tensor:
    """Return the spikes of integrate-and-fire neurons with soft reset under a constant drive.

    Args:
        drive: in [0, 1], any shape ``(*)``.
        steps: number of time steps T, at least 1.

    Returns:
        Spikes in {0, 1}, shape ``(T, *)``, dtype and device of ``drive``.
    """
    time = torch.arange(steps + 1, device=drive.device, dtype=drive.dtype).view(-1, *[1] * drive.dim())
    # after t steps a neuron has fired as often as the threshold fits into t drives, but once per step at most
    return (time * drive / _THRESHOLD).floor().minimum(time).diff(dim=0)


class Population(Decoding):
    """Gaussian receptive fields over [0, 1] for each input channel, turned into spikes."""

    name = "population"
    Config = PopulationConfig
    config: PopulationConfig
    step_range = Int(2, 32, log=True)

    def encoded_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0] * self.config.fields, *shape[1:]

    def encode(self, x: Tensor) -> Signal:
        drive = receptive_fields(x, fields=self.config.fields, width=self.config.width)
        function = bernoulli if self.config.spikes == "bernoulli" else integrate_and_fire
        return Signal(function(drive, steps=self.steps), self.steps, Kind.BINARY)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """For each field a distance, its square, by two multiplications, and a table of the exponential, a third."""
        fields = code.values[0].numel()
        return Operations(adds=fields, multiplies=3 * fields) + spike_placing(code, self.config.spikes)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(Population)
