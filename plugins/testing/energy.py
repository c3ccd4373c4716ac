"""The contract of an energy model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikefront.plugins.contracts import (
    EnergyModel,
)
from spikefront.plugins.operations import Counts, LayerCount, Operations
from spikefront.plugins.testing.base import (
    PluginContract,
    sample_configs,
)


class EnergyModelContract(PluginContract):
    """What every energy model must do."""

    kind = "energy"

    def test_names_its_technology_and_source(self, plugin: type[EnergyModel]) -> None:
        assert plugin.technology
        assert plugin.source

    def test_nothing_done_costs_nothing(self, plugin: type[EnergyModel]) -> None:
        assert plugin().energy_nj(_counts(0)) == 0

    def test_energy_is_linear_in_the_counts(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            once = plugin(config).energy_nj(_counts(1))
            assert once > 0
            assert plugin(config).energy_nj(_counts(10)) == pytest.approx(10 * once)

    def test_energy_is_per_sample(self, plugin: type[EnergyModel]) -> None:
        counts = _counts(1)
        twice = replace(counts, samples=2 * counts.samples)
        assert plugin().energy_nj(twice) == pytest.approx(plugin().energy_nj(counts) / 2)

    def test_energy_is_the_sum_of_the_layers(self, plugin: type[EnergyModel]) -> None:
        layers = plugin().layer_energy_nj(_counts(1))
        assert set(layers) == {layer.layer for layer in _counts(1).layers}
        assert min(layers.values()) >= 0
        assert plugin().energy_nj(_counts(1)) == pytest.approx(sum(layers.values()))


def _counts(times: int) -> Counts:
    """Return the counts of a synapse and a neuron, ``times`` over."""
    synapse = LayerCount(
        layer="layers.0",
        role="synapse",
        sops=1200 * times,
        macs=70 * times,
        macs_every_step=210 * times,
        operations=Operations(adds=5.0, multiplies=3.0) * times,
        events=20 * times,
        sites=64 * times,
    )
    neuron = LayerCount(
        layer="layers.1",
        role="neuron",
        operations=Operations(adds=96.0, multiplies=48.0) * times,
        events=9 * times,
        sites=48 * times,
    )
    return Counts(samples=4, steps=3, layers=(synapse, neuron))
