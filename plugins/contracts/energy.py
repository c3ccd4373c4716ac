"""The contract of an energy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from spikefront.plugins.contracts.plugin import Plugin
from spikefront.plugins.network.operations import Counts
from spikefront.searchspace import PINNED, Choice, Value
from spikefront.searchspace.configured import write_configured
from spikefront.searchspace.fields import settings_of

TIMED_METRICS: Final = ("latency_us", "edp_uj_s")
"""Metrics that only an energy model with times gives."""


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """Settings that every energy model has, for its config to inherit."""

    charge_encoder: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the work of encoding is part of the energy; papers leave it out."""


class EnergyModel(Plugin):
    """A model of energy: prices for counts of operations, and times where their source has them.

    Its config is set for a search as a whole, ``--set energy.NAME.FIELD=VALUE``. As text a model is its name with these
    settings, ``chip-table(node=14nm)``. Let it inherit ``EnergyConfig``, so that the encoder can be left out.

    Attributes:
        technology: process and voltage that the prices hold for.
        source: where the prices come from.
        evidence: what stands behind them. ``measured``: a chip, which they were fitted to or compared with;
            ``simulated``: simulations or estimates of circuits; ``proxy``: they stand in for want of either. Empty
            where it is not stated.
        leaves_out: what a real device also pays for, in words.
        reads_traffic: whether it prices ``LayerCount.traffic``, which takes longer to count; other searches count it
            at a trial's last epoch, so that it is stored.
        unpriced: the roles of layers, and ``macs``, that may cost nothing because they are done elsewhere, as
            ``leaves_out`` says; None for none.
    """

    Config: ClassVar[type] = EnergyConfig
    technology: ClassVar[str]
    source: ClassVar[str]
    evidence: ClassVar[Literal["measured", "simulated", "proxy", ""]] = ""
    leaves_out: ClassVar[str] = ""
    reads_traffic: ClassVar[bool] = False
    unpriced: ClassVar[frozenset[str] | None] = None

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    @property
    def charges_encoder(self) -> bool:
        """Whether the work of encoding is part of the energy."""
        return bool(getattr(getattr(self, "config", None), "charge_encoder", True))

    @classmethod
    def description(cls) -> str:
        """Return what stands behind the prices, and what they leave out, in a sentence; empty where not stated."""
        parts = [f"prices {cls.evidence}"] * bool(cls.evidence) + [f"without {cls.leaves_out}"] * bool(cls.leaves_out)
        return "; ".join(parts)

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

    def latency_us(self, counts: Counts) -> float | None:
        """Return the time from the first input of a sample to its output, in microseconds.

        None, the default, where the source has no times, or the counts do not suffice. Steps are not a time.
        """
        return None

    @classmethod
    def has_times(cls) -> bool:
        """Return whether it can say how long a sample takes."""
        return cls.latency_us is not EnergyModel.latency_us

    def metrics(self, counts: Counts) -> dict[str, float]:
        """Return what to log beside the energy: where there is a time, ``latency_us`` and the energy-delay product.

        ``edp_uj_s`` is the energy of a sample in microjoules times its latency in seconds.
        """
        latency_us = self.latency_us(counts)
        if latency_us is None:
            return {}
        return {"latency_us": latency_us, "edp_uj_s": self.energy_nj(counts) / 1e3 * latency_us / 1e6}

    def shortfall(self, counts: Counts) -> str:
        """Return what counts, of an earlier version say, lack for these prices; empty where they suffice.

        Where they do not, the energy is a lower bound.
        """
        return ""


def energy_metrics(model: EnergyModel, counts: Counts) -> dict[str, float]:
    """Return the metrics that follow from counts and a model, per sample.

    These are ``energy_nj``; the parts of it that attention and the encoder take, ``attention_nj`` and ``encoder_nj``
    (what it would be, where the model does not charge the encoder); and ``model.metrics``.
    """
    charged, prices = model.charged_nj(counts), model.layer_energy_nj(counts)
    return {
        "energy_nj": sum(charged.values()),
        "attention_nj": sum(charged[layer.layer] for layer in counts.layers if layer.role == "attention"),
        "encoder_nj": sum(prices[layer.layer] for layer in counts.layers if layer.role == "encoder"),
        **model.metrics(counts),
    }
