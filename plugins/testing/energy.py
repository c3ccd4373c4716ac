"""The contract of an energy model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, get_args

import pytest

from spikefront.plugins.contracts import EnergyModel
from spikefront.plugins.network.operations import Counts, Geometry, LayerCount, Operations, Role
from spikefront.plugins.network.traffic import Timing
from spikefront.plugins.testing.base import PluginContract, sample_configs


class EnergyModelContract(PluginContract):
    """What every energy model must do."""

    kind = "energy"
    accumulate_nj: ClassVar[tuple[float, float]] = (1e-6, 0.5)
    """Least and largest plausible price of an accumulate, in nanojoules; to be overridden for a chip beyond them."""

    def test_names_its_technology_and_source(self, plugin: type[EnergyModel]) -> None:
        assert plugin.technology
        assert plugin.source

    def test_says_what_it_leaves_out_where_it_leaves_work_out(self, plugin: type[EnergyModel]) -> None:
        assert plugin.evidence in ("measured", "simulated", "proxy", "")
        assert (plugin.unpriced or set()) <= {"macs", *get_args(Role)}
        assert plugin.leaves_out or not plugin.unpriced

    def test_time_is_absent_or_of_one_sample(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            model, timed = plugin(config), replace(_counts(), timing=Timing(4, cores=5, tiles=2, busy_ns=4000.0))
            once = model.latency_us(timed)
            if once is None:
                assert "latency_us" not in model.metrics(timed)
                continue
            assert 0 < once < math.inf
            doubled = replace(timed, samples=2 * timed.samples, timing=timed.timing + timed.timing)  # type: ignore[operator]
            assert model.latency_us(doubled) == pytest.approx(once)
            assert model.metrics(timed)["latency_us"] == once
            assert model.metrics(timed)["edp_uj_s"] == pytest.approx(model.energy_nj(timed) * 1e-3 * once * 1e-6)

    def test_nothing_done_costs_nothing(self, plugin: type[EnergyModel]) -> None:
        idle = tuple(LayerCount(layer.layer, layer.role) for layer in _counts().layers)
        assert plugin().energy_nj(replace(_counts(), layers=idle)) == 0

    def test_energy_is_that_of_one_sample_however_many_were_measured(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            once = plugin(config).energy_nj(_counts())
            assert once > 0
            assert plugin(config).energy_nj(_counts(batches=10)) == pytest.approx(once)

    def test_more_events_cost_more(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            assert plugin(config).energy_nj(_counts(activity=3)) > plugin(config).energy_nj(_counts())

    def test_every_role_has_a_price(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            for layer in _counts().layers:
                free = plugin.unpriced or frozenset()
                if layer.role in free or (layer.macs and "macs" in free):
                    continue
                prices = plugin(config).layer_energy_nj(replace(_counts(), layers=(layer,)))
                assert layer.layer in prices, f"a layer of role {layer.role!r} is left out"
                price = prices[layer.layer]
                assert price >= 0, f"a layer of role {layer.role!r} has negative energy"
                if layer.role == "encoder":  # it may be the work of a host
                    continue
                assert price > 0, f"a layer of role {layer.role!r} is free, although it works"
            assert {layer.role for layer in _counts().layers} == set(get_args(Role))

    def test_more_operations_of_any_kind_cost_more(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            for number, layer in enumerate(_counts().layers):
                for name in ("sops", "macs"):
                    if not getattr(layer, name) or name in (plugin.unpriced or ()):
                        continue
                    layers = list(_counts().layers)
                    layers[number] = replace(layer, **{name: 2 * getattr(layer, name)})
                    more = plugin(config).energy_nj(replace(_counts(), layers=tuple(layers)))
                    assert more > plugin(config).energy_nj(_counts()), f"{name} of a {layer.role} cost nothing"

    def test_prices_are_in_nanojoules(self, plugin: type[EnergyModel]) -> None:
        low, high = self.accumulate_nj
        linear = LayerCount("linear", "synapse", events=100, sites=100, geometry=Geometry(100, 100, 100, 10_000))
        for config in sample_configs(plugin.Config):
            price = [plugin(config).energy_nj(Counts(1, 1, (replace(linear, sops=sops),))) for sops in (10_000, 20_000)]
            per_accumulate = (price[1] - price[0]) / 10_000
            assert low <= per_accumulate <= high, (
                f"an accumulate costs {per_accumulate:.3g} nJ, outside of {low:g} to {high:g}: is it in another unit?"
            )

    def test_energy_is_the_sum_of_the_layers(self, plugin: type[EnergyModel]) -> None:
        layers = plugin().layer_energy_nj(_counts())
        assert set(layers) == {layer.layer for layer in _counts().layers}
        assert min(layers.values()) >= 0
        assert plugin().energy_nj(_counts()) == pytest.approx(sum(layers.values()))


def _counts(*, batches: int = 1, activity: int = 1) -> Counts:
    """Return the counts of a small network that sees a constant analog input.

    Args:
        batches: how often the four samples were measured.
        activity: how many times over each non-zero value came.
    """
    samples, steps = 4 * batches, 3
    often = samples * activity
    conv = LayerCount(
        "layers.0",
        "synapse",
        macs=90 * often,
        macs_every_step=270 * often,
        events=5 * often,
        sites=25 * samples,
        geometry=Geometry(inputs=25, outputs=18, channels=2, weights=18, kernel=(3, 3), biased=True),
    )
    neurons = LayerCount(
        "layers.1.neuron",
        "neuron",
        operations=Operations(adds=2, multiplies=1) * (18 * steps * samples),
        events=6 * often,
        sites=18 * steps * samples,
    )
    linear = LayerCount(
        "layers.2",
        "synapse",
        sops=60 * often,
        operations=Operations(multiplies=10 * steps * samples),
        events=6 * often,
        sites=18 * steps * samples,
        geometry=Geometry(inputs=18, outputs=10, channels=10, weights=180),
    )
    attention = LayerCount("layers.1.between", "attention", operations=Operations(adds=40, multiplies=20) * samples)
    readout = LayerCount("coding.decode", "readout", operations=Operations(adds=10 * steps * samples))
    shortcut = LayerCount("layers.3", "residual", operations=Operations(adds=30, multiplies=10) * samples)
    encoder = LayerCount("coding.encode", "encoder", operations=Operations(adds=50) * samples)
    return Counts(samples, steps, (conv, neurons, attention, linear, shortcut, readout, encoder))
