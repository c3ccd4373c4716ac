"""The contract of an energy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from spikefront.plugins.contracts.plugin import Plugin
from spikefront.plugins.network.operations import Counts
from spikefront.searchspace import PINNED, Choice, Value
from spikefront.searchspace.configured import write_configured
from spikefront.searchspace.fields import settings_of


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """Settings that every energy model has, for its config to inherit."""

    charge_encoder: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the work of encoding is part of the energy; papers leave it out."""


class EnergyModel(Plugin):
    """A model of energy: prices for counts of operations.

    Its config is set for a search as a whole, ``--set energy.NAME.FIELD=VALUE``. As text a model is its name with these
    settings, ``chip-table(node=14nm)``. Let it inherit ``EnergyConfig``, so that the encoder can be left out.

    Attributes:
        technology: process and voltage that the prices hold for.
        source: where the prices come from.
    """

    Config: ClassVar[type] = EnergyConfig
    technology: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    @property
    def charges_encoder(self) -> bool:
        """Whether the work of encoding is part of the energy."""
        return bool(getattr(getattr(self, "config", None), "charge_encoder", True))

    def config_values(self) -> dict[str, Value]:
        """Return its settings by field; that the encoder is charged goes without saying."""
        config = getattr(self, "config", None)  # a constructor of its own may leave it out
        values = settings_of(config) if isinstance(config, self.Config) else {}
        return {name: value for name, value in values.items() if name != "charge_encoder" or not value}

    def __str__(self) -> str:
        return write_configured(self.name, self.config_values())

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        """Return the price of each layer in nanojoules per sample, by layer name, the encoder's in any case."""
        raise TypeError(f"{type(self).__name__} must define layer_energy_nj(counts)")

    def charged_nj(self, counts: Counts) -> dict[str, float]:
        """Return what each layer adds to the energy: its price, or 0 for an encoder that is not charged."""
        prices = self.layer_energy_nj(counts)
        if self.charges_encoder:
            return prices
        return prices | {layer.layer: 0.0 for layer in counts.layers if layer.role == "encoder"}

    def energy_nj(self, counts: Counts) -> float:
        """Return the energy of the whole network in nanojoules per sample."""
        return sum(self.charged_nj(counts).values())
