"""Phase conversion: an ANN's activation becomes binary digits, repeated every K steps.

A spike at phase ``k = t mod K`` is worth ``2^-(1+k)``; the phase neuron's threshold follows the same weights. Input and
biases are constants whose current is shared out by those weights. A layer does not wait for all the digits of the one
before, so an early digit may be wrong for good in its period; several periods average that out.

Reference: Kim, Kim, Huh, Lee & Choi, "Deep neural networks with weighted spikes", Neurocomputing 311 (2018). Read-out
over a period that the steps cut short is **reconstructed**.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Coding, Neuron, hookimpl
from spikefront.plugins.bases.conversion import Conversion, ConversionConfig
from spikefront.plugins.neurons.phase import Phase, PhaseConfig, phase_weights
from spikefront.searchspace import Int, UsageError


class PhaseConversion(Conversion):
    """Binary digits over time, converted from an ANN."""

    name = "phase-conversion"
    step_range = Int(4, 128, log=True)
    neurons: ClassVar[frozenset[str] | None] = frozenset({"phase"})

    def __init__(self, config: ConversionConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self._period = PhaseConfig().period

    def bind(self, neuron: Neuron) -> None:
        if not isinstance(neuron, Phase):
            raise UsageError(f"coding 'phase-conversion' needs neuron phase, not {neuron.name!r}")
        self._period = neuron.config.period

    def shares(self) -> Tensor:
        return torch.tensor(phase_weights(self.steps, self._period)) / self.full_scale()

    def weights(self) -> Tensor:
        return torch.ones(self.steps) / self.shares().sum()  # the number of periods

    def cuts(self) -> tuple[int, ...]:
        """Return the ends of whole periods: within one, the last digits of a number are missing."""
        return tuple(steps for steps in super().cuts() if steps % self._period == 0)

    def full_scale(self) -> float:
        return sum(phase_weights(min(self._period, self.steps), self._period))


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(PhaseConversion)
