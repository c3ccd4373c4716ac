"""Rate conversion: an ANN's activation becomes a firing rate.

Input and biases are constant currents; integrate-and-fire neurons with a soft reset, started at half their threshold,
fire ``round(a T)`` times for a constant input a in [0, 1]: the error of the rate is at most ``1 / (2T)``. It is the
baseline that other conversions are measured against.

Reference: Rueckauer et al., Frontiers in Neuroscience 11 (2017), for soft reset and scaling; Bu et al., "Optimal
ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks", ICLR (2022), for the start at half
the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Coding, hookimpl
from spikefront.plugins.bases.levels import LevelConversion
from spikefront.searchspace import Choice, Domain, Int


class RateConversion(LevelConversion):
    """Firing rates, converted from an ANN."""

    name = "rate-conversion"
    step_range = Int(4, 128, log=True)
    neurons: ClassVar[frozenset[str] | None] = frozenset({"if"})
    requires: ClassVar[Mapping[str, Domain]] = {
        **LevelConversion.requires,
        "neuron.if.reset": Choice(("soft",)),  # a hard reset forgets what is above the threshold
        "neuron.if.start": Choice((0.5,)),  # rounds to the nearest count instead of down
    }

    def shares(self) -> Tensor:
        return torch.ones(1)

    def weights(self) -> Tensor:
        return torch.full((self.steps,), 1 / self.steps)

    def full_scale(self) -> float:
        return 1.0


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(RateConversion)
