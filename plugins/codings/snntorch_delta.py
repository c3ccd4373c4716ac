"""snnTorch's ``spikegen.delta`` as a coding: a spike where a sequence has changed by a threshold since the step before.

It is ``delta`` with its first form, and may leave out the first step (``padding``), which changes from nothing.

Reference: Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proceedings of the
IEEE 111 (2023). Encoded by snnTorch itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from torch import Tensor

from spikefront.plugins import Choice, Coding, Decoding, DecodingConfig, Float, Int, Kind, Operations, Signal, hookimpl

_SIXTEENTHS: Final = 16.0


@dataclass(frozen=True, slots=True)
class SnnTorchDeltaConfig(DecodingConfig):
    """Hyperparameters of snnTorch's delta encoder."""

    threshold: Annotated[float, Float(0.5, 8.0, log=True)] = 1.0
    """Least change that is a spike, in events per pixel and frame; of sequences, in sixteenths of their range."""
    off_spike: Annotated[bool, Choice((True, False))] = True
    """Whether a fall is a spike too, a negative one; snnTorch's own default is not."""
    padding: Annotated[bool, Choice((False, True))] = False
    """Whether the first step is compared with itself, and so is silent, rather than with 0."""


class SnnTorchDelta(Decoding):
    """A spike of snnTorch where a sequence changes (`spikegen.delta`)."""

    name = "snntorch-delta"
    Config = SnnTorchDeltaConfig
    config: SnnTorchDeltaConfig
    inputs = frozenset({"events", "sequences", "spikes"})
    step_range = Int(2, 16, log=True)  # one frame changes from nothing
    named_only: ClassVar[bool] = True
    library: ClassVar[str] = "snntorch"

    def encode_events(self, frames: Tensor) -> Signal:
        from snntorch import spikegen

        config = self.config
        spikes = spikegen.delta(frames, config.threshold, padding=config.padding, off_spike=config.off_spike)
        return Signal(spikes, self.steps, Kind.TERNARY if config.off_spike else Kind.BINARY)

    def encode_sequences(self, points: Tensor) -> Signal:
        return self.encode_events(_SIXTEENTHS * self.held(points))

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """At each step a difference, and a comparison for each sign."""
        return Operations(adds=(3 if self.config.off_spike else 2) * code.values.numel())

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(SnnTorchDelta)
