from __future__ import annotations

import json

import pytest

from spikefront.plugins import Counts, Geometry, LayerCount, Operations
from spikefront.plugins.network.operations import product_by
from spikefront.plugins.network.traffic import Timing, Traffic

COUNTS = Counts(
    samples=4,
    steps=2,
    layers=(
        LayerCount("a", "synapse", macs=80, macs_every_step=160, events=20, sites=40),
        LayerCount("b", "neuron", operations=Operations(adds=32.0), events=4, sites=16),
        LayerCount("c", "synapse", sops=12, events=4, sites=16),
        LayerCount("d", "neuron", events=0, sites=4),
    ),
)


def test_operations_add_and_scale() -> None:
    assert Operations(1, 2, 3) + Operations(3, 4, 5) * 2 == Operations(7, 10, 13)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.0, Operations()),
        (1.0, Operations()),
        (-1.0, Operations()),
        (2.0, Operations(shifts=1)),
        (-0.125, Operations(shifts=1)),
        (0.5, Operations(shifts=1)),  # of tau = 2
        (0.75, Operations(adds=1, shifts=1)),  # of tau = 4
        (0.875, Operations(adds=1, shifts=1)),
        (2.01, Operations(multiplies=1)),
        (0.4999, Operations(multiplies=1)),
        (3.0, Operations(multiplies=1)),
        (1.5, Operations(multiplies=1)),
        (float("inf"), Operations(multiplies=1)),
    ],
)
def test_powers_of_two_have_one_price(factor: float, expected: Operations) -> None:
    assert product_by(factor) == expected


def test_totals_are_per_sample() -> None:
    assert (COUNTS.sops, COUNTS.macs, COUNTS.macs_every_step) == (3, 20, 40)


def test_spike_rate_is_that_of_neurons_alone() -> None:
    assert COUNTS.spike_rate == pytest.approx(4 / 20)
    assert COUNTS.layer_rates == {"b": 0.25, "d": 0.0}
    assert Counts(samples=1, steps=1, layers=()).spike_rate == 0


def test_counts_survive_json() -> None:
    read = json.loads(json.dumps(COUNTS.to_dict()))
    assert read["layers"][1]["operations"] == {"adds": 32.0, "multiplies": 0.0, "shifts": 0.0}


def test_counts_are_read_from_json_as_they_were_and_without_what_an_earlier_version_did_not_count() -> None:
    geometry = Geometry(25, 18, 2, 18, kernel=(3, 3), stride=(2, 2), biased=True)
    traffic = Traffic(messages=3, hops_x=2, storage="conv")
    layers = (
        LayerCount("a", "synapse", sops=54, geometry=geometry, traffic=traffic),
        LayerCount("b", "neuron", operations=Operations(adds=3), events=4, active=3, traffic=Traffic(accesses=54)),
        LayerCount("coding.decode", "readout"),
    )
    counts = Counts(2, 3, layers, delay=1, timing=Timing(4, cores=2, tiles=1, busy_ns=5.5))
    plain = json.loads(json.dumps(counts.to_dict()))
    assert Counts.from_dict(plain) == counts

    for layer in plain["layers"]:
        del layer["traffic"]
        layer["of a later version"] = 1
    del plain["timing"]
    earlier = Counts.from_dict(plain)
    assert earlier.timing is None
    assert all(layer.traffic is None for layer in earlier.layers)
    assert earlier.sops == counts.sops


def test_traffic_of_two_batches_is_added_and_that_of_a_digit_multiplied() -> None:
    one = Traffic(accesses=1, updates=2, messages=3, hops_x=4, hops_y=5, off_chip=True, storage="conv")
    assert one + one == one * 2 == Traffic(2, 4, 6, 8, 10, off_chip=True, storage="conv")
    timing = Timing(4, cores=2, tiles=1, busy_ns=5.5)
    assert timing + timing == Timing(4, cores=2, tiles=1, busy_ns=11.0)
