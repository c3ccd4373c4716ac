"""snnTorch's ``spikegen.rate`` as a coding: a spike at random at each step, with the probability ``gain x + offset``.

Probabilities are clipped to [0, 1]. With gain 1 and offset 0 it is ``rate`` with Bernoulli spikes, drawn otherwise.

Reference: Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proceedings of the
IEEE 111 (2023). Encoded by snnTorch itself, from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from spikefront.plugins import PINNED, Coding, Decoding, DecodingConfig, Float, Int, Kind, Operations, Signal, hookimpl


@dataclass(frozen=True, slots=True)
class SnnTorchRateConfig(DecodingConfig):
    """Hyperparameters of snnTorch's rate encoder."""

    gain: Annotated[float, Float(0.1, 2.0)] = 1.0
    """Firing probability of an input of 1, without the offset."""
    offset: Annotated[float, Float(0.0, 0.5), PINNED] = 0.0
    """Firing probability of an input of 0."""


class SnnTorchRate(Decoding):
    """Random spikes of snnTorch, whose probability grows with the input (`spikegen.rate`)."""

    name = "snntorch-rate"
    Config = SnnTorchRateConfig
    config: SnnTorchRateConfig
    step_range = Int(2, 32, log=True)
    inputs = frozenset({"static", "sequences"})
    named_only: ClassVar[bool] = True
    library: ClassVar[str] = "snntorch"

    def encode(self, x: Tensor) -> Signal:
        from snntorch import spikegen

        spikes = spikegen.rate(x, self.steps, gain=self.config.gain, offset=self.config.offset)
        return Signal(spikes, self.steps, Kind.BINARY)

    def encode_sequences(self, points: Tensor) -> Signal:
        from snntorch import spikegen

        drive = self.config.gain * self.held(points) + self.config.offset
        return Signal(spikegen.rate(drive, time_var_input=True), self.steps, Kind.BINARY)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """At each step a random number is drawn, by a shift register that feeds back, and compared."""
        return Operations(adds=2 * code.values.numel())

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(SnnTorchRate)
