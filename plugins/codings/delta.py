"""Delta coding: a spike where a sequence changes.

For frames x[t] and ``s[t]`` in {-1, 0, 1}::

    delta          s[t] = 1 if x[t] - x[t-1] >= threshold, -1 if <= -threshold, else 0;  x[-1] = 0
    send-on-delta  the same with r[t-1] for x[t-1], where r[t] = r[t-1] + threshold s[t] is what the receiver knows

Slow changes below the threshold are lost in the first form; the second adds them up, one spike per step, so that r
stays within a threshold of a sequence that changes by no more than a threshold per step. Of a sequence whose points
last several steps each, the first form spikes at the first of them only, and the second may go on.

Reference: Corradi & Indiveri, "A neuromorphic event-based neural recording system for smart brain-machine-interfaces",
IEEE TBioCAS 9 (2015), for the idea. The first form is that of snnTorch's ``spikegen.delta``, without its padding; the
second is **reconstructed** from Miskowicz, "Send-on-delta concept", Sensors 6 (2006).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl
from spikefront.plugins.bases.decoding import Decoding, DecodingConfig
from spikefront.searchspace import Choice, Float, Int, When

_SIXTEENTHS: Final = 16.0


@dataclass(frozen=True, slots=True)
class DeltaConfig(DecodingConfig):
    """Hyperparameters of delta coding."""

    reference: Annotated[str, Choice(("delta", "send-on-delta"))] = "delta"
    """What a frame is compared with: the frame before, or the sum of the spikes so far."""
    off_spikes: Annotated[bool, Choice((True, False)), When("reference", ("delta",))] = True
    """Whether a fall is a spike too, a negative one; send-on-delta can't do without."""
    threshold: Annotated[float, Float(0.5, 8.0, log=True)] = 1.0
    """Least change that is a spike, in events per pixel and frame; of sequences, in sixteenths of their range."""


def delta(frames: Tensor, *, threshold: float, off_spikes: bool = True) -> Tensor:
    """Encode frames as changes from one to the next, the first one's from 0.

    Args:
        frames: any values, ``(T, *)``.
        threshold: least change that is a spike, above 0.
        off_spikes: whether falls are spikes, of value -1.

    Returns:
        Spikes in {-1, 0, 1}, or {0, 1} without ``off_spikes``; shape, dtype and device of ``frames``.

    Example:
        >>> delta(torch.tensor([0.0, 0.5, 0.25, 0.25]), threshold=0.25)
        tensor([ 0.,  1., -1.,  0.])
    """
    change = frames.diff(dim=0, prepend=torch.zeros_like(frames[:1]))
    on = (change >= threshold).to(frames.dtype)
    return on - (change <= -threshold).to(frames.dtype) if off_spikes else on


def send_on_delta(frames: Tensor, *, threshold: float) -> Tensor:
    """Encode frames as the steps of a reference that follows them from 0.

    Args:
        frames: any values, ``(T, *)``.
        threshold: height of a step, above 0.

    Returns:
        Spikes in {-1, 0, 1}; shape, dtype and device of ``frames``.

    Example:
        >>> send_on_delta(torch.tensor([0.5, 0.5, 0.5, 0.0]), threshold=0.25)
        tensor([ 1.,  1.,  0., -1.])
    """
    reference, spikes = torch.zeros_like(frames[0]), []
    for frame in frames:
        distance = frame - reference
        spikes.append(distance.sign() * (distance.abs() >= threshold))
        reference = reference + threshold * spikes[-1]
    return torch.stack(spikes)


class Delta(Decoding):
    """A spike, up or down, where a sequence of frames or of measurements changes."""

    name = "delta"
    Config = DeltaConfig
    config: DeltaConfig
    inputs = frozenset({"events", "sequences", "spikes"})
    step_range = Int(2, 16, log=True)  # one frame changes from nothing

    def encode_events(self, frames: Tensor) -> Signal:
        threshold = self.config.threshold
        if self.config.reference == "send-on-delta":
            return Signal(send_on_delta(frames, threshold=threshold), self.steps, Kind.TERNARY)
        spikes = delta(frames, threshold=threshold, off_spikes=self.config.off_spikes)
        return Signal(spikes, self.steps, Kind.TERNARY if self.config.off_spikes else Kind.BINARY)

    def encode_sequences(self, points: Tensor) -> Signal:
        return self.encode_events(_SIXTEENTHS * self.held(points))

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """At each step a difference and a comparison for each sign; send-on-delta moves its reference at a spike."""
        steps = code.values.numel()
        if self.config.reference == "send-on-delta":
            return Operations(adds=3 * steps + int((code.values != 0).sum()))
        return Operations(adds=(3 if self.config.off_spikes else 2) * steps)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(Delta)
