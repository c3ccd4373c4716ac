"""Ternary LIF neuron: a LIF neuron that also fires negatively, at minus the threshold.

The membrane potential H is that of ``lif``; ``S[t] = 1`` where H reaches the threshold, -1 where it falls to minus the
threshold. Then V is set to 0 (hard reset) or loses ``threshold S[t]`` (soft).

Reference: Guo et al., "Ternary spike: learning ternary spikes for spiking neural networks", AAAI 2024, whose reset is
hard; conventions as SpikingJelly's TernaryLIFNode. Guo et al. don't divide the current by tau (``decay_input`` off); we
do by default, as in ``lif``, so that the two differ in the negative spikes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Choice, Float, Kind, LeakyConfig, Neuron, hookimpl
from spikefront.plugins.bases.leaky import Leaky


@dataclass(frozen=True, slots=True)
class TernaryLIFConfig(LeakyConfig):
    """Hyperparameters of the ternary LIF neuron."""

    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires; at minus this it fires negatively."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or move it towards 0 by the threshold."""


class TernaryLIF(Leaky):
    """Leaky integrator that fires at the threshold and, negatively, at minus the threshold."""

    name = "ternary-lif"
    Config = TernaryLIFConfig
    config: TernaryLIFConfig
    kind = Kind.TERNARY


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(TernaryLIF)
