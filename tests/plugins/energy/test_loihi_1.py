from __future__ import annotations

import pytest

from spikefront.plugins import Counts, LayerCount, Operations
from spikefront.plugins.energy.loihi_1 import Loihi1


def picojoules(*layers: LayerCount, samples: int = 1) -> float:
    return 1000 * Loihi1().energy_nj(Counts(samples, steps=4, layers=layers))


def test_synaptic_operation_costs_23_6_pj() -> None:
    assert picojoules(LayerCount("a", "synapse", sops=10)) == pytest.approx(236)


def test_a_neuron_that_spikes_costs_81_pj_and_a_silent_one_52_pj() -> None:
    # 5 neurons over 4 steps: 3 updates with a spike, 17 without
    neurons = LayerCount("b", "neuron", events=3, sites=20)
    assert picojoules(neurons) == pytest.approx(3 * 81 + 17 * 52)  # 243 + 884 = 1127
    assert picojoules(neurons, samples=2) == pytest.approx(1127 / 2)


def test_spikes_of_one_step_are_an_active_update_each() -> None:
    # 5 neurons over 4 steps: 30 spikes at 6 of the 20 places, the other 14 silent
    bursts = LayerCount("b", "neuron", events=30, sites=20, active=6)
    assert picojoules(bursts) == pytest.approx(30 * 81 + 14 * 52)


def test_what_a_neuron_computes_is_part_of_its_update() -> None:
    with_operations = LayerCount("b", "neuron", operations=Operations(adds=40, multiplies=20), events=3, sites=20)
    assert picojoules(with_operations) == pytest.approx(1127)


def test_analog_values_are_eight_synaptic_operations() -> None:
    assert picojoules(LayerCount("a", "synapse", macs=1, macs_every_step=4)) == pytest.approx(188.8)  # 8 * 23.6
    attention = LayerCount("c", "attention", operations=Operations(adds=1, multiplies=1))
    assert picojoules(attention) == pytest.approx(9 * 23.6)
