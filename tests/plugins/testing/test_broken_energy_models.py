"""The contract tests of energy models catch each of these faults, with a message that names what is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spikefront.plugins import Counts, EnergyModel
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.plugins.testing import EnergyModelContract


class NegativeShortcuts(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        roles = {layer.layer: layer.role for layer in counts.layers}
        prices = super().layer_energy_nj(counts)
        return {name: -price if roles[name] == "residual" else price for name, price in prices.items()}


class NoPriceForShortcuts(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        factors = {"synapse": 1.0, "neuron": 1.0, "attention": 1.0, "readout": 1.0}
        prices = super().layer_energy_nj(counts)
        return {layer.layer: factors[layer.role] * prices[layer.layer] for layer in counts.layers}


class LeavesOut(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        priced = [layer.layer for layer in counts.layers if layer.role in ("synapse", "neuron")]
        return {name: price for name, price in super().layer_energy_nj(counts).items() if name in priced}


class ForgetsTheReadout(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        return super().layer_energy_nj(counts) | {
            layer.layer: 0.0 for layer in counts.layers if layer.role == "readout"
        }


class FreeMacs(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        layers = tuple(replace(layer, macs=0, macs_every_step=0) for layer in counts.layers)
        return super().layer_energy_nj(replace(counts, layers=layers))


class Picojoules(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        return {name: 1000 * price for name, price in super().layer_energy_nj(counts).items()}


class Joules(Horowitz45nm):
    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        return {name: 1e-9 * price for name, price in super().layer_energy_nj(counts).items()}


PRICED = EnergyModelContract.test_every_role_has_a_price
UNIT = EnergyModelContract.test_prices_are_in_nanojoules


@pytest.mark.parametrize(
    ("test", "plugin", "message"),
    [
        (PRICED, NegativeShortcuts, "a layer of role 'residual' has negative energy"),
        (PRICED, NoPriceForShortcuts, "residual"),
        (PRICED, ForgetsTheReadout, "a layer of role 'readout' is free"),
        (PRICED, LeavesOut, "left out"),
        (EnergyModelContract.test_more_operations_of_any_kind_cost_more, FreeMacs, "macs of a synapse cost nothing"),
        (UNIT, Picojoules, "an accumulate costs 0.9 nJ, .* is it in another unit"),
        (UNIT, Joules, "is it in another unit"),
    ],
)
def test_fault_is_caught_by_name(test: Any, plugin: type[EnergyModel], message: str) -> None:
    with pytest.raises((AssertionError, KeyError), match=message):
        test(EnergyModelContract(), plugin)
