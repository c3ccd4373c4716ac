from __future__ import annotations

import json

import pytest

from spikefront.plugins import Counts, LayerCount, Operations
from spikefront.plugins.network.operations import product_by

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
