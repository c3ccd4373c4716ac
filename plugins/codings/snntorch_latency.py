"""snnTorch's ``spikegen.latency`` as a coding: a stronger input fires earlier, once, within T steps (``normalize``).

``log`` is the time that a capacitor charged by the input takes to a threshold, ``ln(x / (x - threshold))``, scaled such
that an input at or below the threshold fires at the last step; ``linear`` falls from the last step to the first. With
few steps ``log`` has all inputs but those close to the threshold at the first one, so ``linear`` is the default here.

snnTorch scales ``log`` by the latest spike of its batch. Here an input of 0 goes along, so that a sample is encoded as
it is in any batch; where a batch holds an input at or below the threshold, as images do, that changes nothing.

Reference: Eshraghian et al., "Training spiking neural networks using lessons from deep learning", Proceedings of the
IEEE 111 (2023). Spike times are computed by snnTorch itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Choice, Coding, Float, Kind, Signal, hookimpl
from spikefront.plugins.codings.latency import Latency, LatencyConfig


@dataclass(frozen=True, slots=True)
class SnnTorchLatencyConfig(LatencyConfig):
    """Hyperparameters of snnTorch's latency encoder."""

    threshold: Annotated[float, Float(0.001, 0.2, log=True)] = 0.01
    """Input at which the capacitor is never charged; weaker ones are clipped, or fire last."""
    clip: Annotated[bool, Choice((True, False))] = True
    """Whether inputs below the threshold stay silent."""


class SnnTorchLatency(Latency):
    """One spike per input of snnTorch, the earlier the stronger (`spikegen.latency`)."""

    name = "snntorch-latency"
    Config = SnnTorchLatencyConfig
    config: SnnTorchLatencyConfig
    named_only: ClassVar[bool] = True
    library: ClassVar[str] = "snntorch"

    def encode(self, x: Tensor) -> Signal:
        from snntorch import spikegen

        times, below = spikegen.latency_code(
            torch.cat([x.flatten(), x.new_zeros(1)]),
            num_steps=self.steps,
            threshold=self.config.threshold,
            normalize=True,
            linear=self.config.curve == "linear",
        )
        fires = times[:-1].view_as(x).round()
        clock = torch.arange(self.steps, device=x.device, dtype=x.dtype).view(-1, *[1] * x.dim())
        spikes = clock == fires
        if self.config.clip:
            spikes = spikes & ~below[:-1].view_as(x)
        return Signal(spikes.to(x.dtype), self.steps, Kind.BINARY)


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(SnnTorchLatency)
