"""The contract of an energy model."""

from __future__ import annotations

from typing import Any, ClassVar

from spikefront.plugins.contracts.plugin import Plugin
from spikefront.plugins.network.operations import Counts
from spikefront.searchspace import Value
from spikefront.searchspace.configured import write_configured
from spikefront.searchspace.fields import settings_of


class EnergyModel(Plugin):
    """A model of energy: prices for counts of operations.

    Its config is set for a search as a whole, ``--set energy.NAME.FIELD=VALUE``. As text a model is its name with these
    settings, ``chip-table(node=14nm)``.

    Attributes:
        technology: process and voltage that the prices hold for.
        source: where the prices come from.
    """

    technology: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def config_values(self) -> dict[str, Value]:
        """Return its settings by field."""
        config = getattr(self, "config", None)  # a constructor of its own may leave it out
        return settings_of(config) if isinstance(config, self.Config) else {}

    def __str__(self) -> str:
        return write_configured(self.name, self.config_values())

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        """Return the energy of each layer in nanojoules per sample, by layer name."""
        raise TypeError(f"{type(self).__name__} must define layer_energy_nj(counts)")

    def energy_nj(self, counts: Counts) -> float:
        """Return the energy of the whole network in nanojoules per sample."""
        return sum(self.layer_energy_nj(counts).values())
