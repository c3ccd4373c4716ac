from __future__ import annotations

import pytest

from spikefront.plugins import Counts, LayerCount, Operations
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm


def energy(samples: int = 1, **counts: object) -> float:
    layer = LayerCount("a", "synapse", **counts)  # type: ignore[arg-type]
    return Horowitz45nm().energy_nj(Counts(samples, steps=4, layers=(layer,)))


def test_hand_computed_energy() -> None:
    assert energy(sops=1000) == pytest.approx(0.9)  # 1000 accumulates of 0.9 pJ
    assert energy(macs=1) == pytest.approx(4.6e-3)  # 4.6 pJ
    assert energy(operations=Operations(adds=10, multiplies=10)) == pytest.approx(46e-3)  # as ten MACs
    assert energy(samples=2, sops=1000, macs=100) == pytest.approx((0.9 + 0.46) / 2)


def test_constant_input_is_charged_once() -> None:
    assert energy(macs=10, macs_every_step=40) == energy(macs=10)


def test_events_and_sites_are_free() -> None:
    assert energy(events=100, sites=1000) == 0


def test_each_layer_is_priced_on_its_own() -> None:
    layers = (LayerCount("a", "synapse", macs=1000), LayerCount("b", "neuron", operations=Operations(multiplies=1000)))
    prices = Horowitz45nm().layer_energy_nj(Counts(1, 4, layers))
    assert prices == {"a": pytest.approx(4.6), "b": pytest.approx(3.7)}
