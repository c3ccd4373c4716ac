"""The contract of an energy model."""

from __future__ import annotations

from typing import Any, ClassVar

from spikefront.plugins.contracts.plugin import Plugin
from spikefront.plugins.network.operations import Counts


class EnergyModel(Plugin):
    """A model of energy: prices for counts of operations.

    Attributes:
        technology: process and voltage that the prices hold for.
        source: where the prices come from.
    """

    technology: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        """Return the energy of each layer in nanojoules per sample, by layer name."""
        raise TypeError(f"{type(self).__name__} must define layer_energy_nj(counts)")

    def energy_nj(self, counts: Counts) -> float:
        """Return the energy of the whole network in nanojoules per sample."""
        return sum(self.layer_energy_nj(counts).values())
