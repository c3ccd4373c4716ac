"""Totals by hand, in pJ. A word has 32 bits, so access to a memory of M words costs 13.2 + 0.0003488 M."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from spikefront.plugins import Counts, Geometry, LayerCount, Operations
from spikefront.plugins.energy.lemaire_45nm import Lemaire45nm

STEPS = 2
# 5x5 map, one channel, two 3x3 kernels: without padding 3x3 outputs each at stride 1, 2x2 at stride 2
CONV = Geometry(inputs=25, outputs=18, channels=2, weights=18, kernel=(3, 3), biased=True)
STRIDED = replace(CONV, outputs=8, stride=(2, 2))
LINEAR = Geometry(inputs=18, outputs=10, channels=10, weights=180)


def access(words: int) -> float:
    return 13.2 + 0.0003488 * words  # 1.09e-5 * 32 = 0.0003488


def picojoules(layer: LayerCount, samples: int = 1) -> float:
    return 1000 * Lemaire45nm().energy_nj(Counts(samples, STEPS, (layer,)))


def spiking(geometry: Geometry, events: int, sops: int) -> LayerCount:
    return LayerCount("a", "synapse", sops=sops, events=events, sites=STEPS * geometry.inputs, geometry=geometry)


def test_access_of_8_kib_costs_about_15_pj() -> None:
    # one event into a layer that it reaches nothing of: the access to its queue, 2048 words of 4 bytes, and no other
    queue = Geometry(inputs=2048, outputs=1, channels=1, weights=1)
    assert picojoules(spiking(queue, events=1, sops=0)) == pytest.approx(13.2 + 1.09e-5 * 65536)  # 13.914


def test_convolution_by_hand() -> None:
    # three spikes in the middle of the map, each under all 9 taps of 2 kernels: 3 * 9 * 2 = 54 operations
    expected = (
        3 * access(25)  # events out of the queue
        + 54 * access(18)  # weights
        + (2 * 18) * access(2)  # biases: 2 steps, 18 neurons
        + 2 * 54 * access(18)  # potentials, read and written
        + 54 * 0.1  # accumulates
        + (2 * 3) * 3.2  # two multiply-accumulates locate an event
        + 54 * 0.1  # an address for each operation
    )
    assert picojoules(spiking(CONV, events=3, sops=54)) == pytest.approx(expected)


def test_away_from_the_edges_these_are_the_equations_of_the_paper() -> None:
    theta, kernel, channels = 3, 9, 2
    unbiased = replace(CONV, biased=False)
    memory = theta * access(25) + 3 * theta * channels * kernel * access(18)
    additions = theta * channels * kernel  # ceil(3 / 1)^2 * C_out each
    addresses = 2 * theta * 3.2 + theta * channels * kernel * 0.1
    expected = memory + 0.1 * additions + addresses
    assert picojoules(spiking(unbiased, events=3, sops=54)) == pytest.approx(expected)


def test_strided_convolution_by_hand() -> None:
    # one spike in the middle, position (2, 2): under a tap of all 2x2 windows of 2 kernels, 8 operations.
    # another at (1, 1): windows start at 0 and 2, so it is under one window of each kernel, 2 operations.
    # The paper's bound is 2 * ceil(3/2)^2 * 2 = 16 additions and 2 * 9 * 2 = 36 accesses.
    expected = (
        2 * access(25)
        + 10 * access(18)  # weights
        + (2 * 8) * access(2)  # biases
        + 2 * 10 * access(8)  # potentials of 8 neurons
        + 10 * 0.1
        + (2 * 2) * 3.2
        + 10 * 0.1
    )
    assert picojoules(spiking(STRIDED, events=2, sops=10)) == pytest.approx(expected)


def test_fully_connected_by_hand() -> None:
    # five spikes, 10 neurons: 50 operations; no bias, and an event is located by counting up
    expected = 5 * access(18) + 50 * access(180) + 2 * 50 * access(10) + 50 * 0.1 + 50 * 0.1
    assert picojoules(spiking(LINEAR, events=5, sops=50)) == pytest.approx(expected)


def test_neurons_by_hand() -> None:
    # 18 neurons, 2 steps: 36 updates, each with a read and a write; 4 spikes go into the queue behind
    neurons = LayerCount("b", "neuron", operations=Operations(adds=72), events=4, sites=36)
    without_leak = 2 * 36 * access(18) + 4 * access(18) + (36 + 4) * 0.1
    assert picojoules(neurons) == pytest.approx(without_leak)

    leaky = replace(neurons, operations=Operations(adds=72, multiplies=36))
    assert picojoules(leaky) == pytest.approx(without_leak + 36 * 3.2)


def analog(geometry: Geometry, events: int, macs: int, presentations: int) -> LayerCount:
    sites = presentations * geometry.inputs
    return LayerCount("a", "synapse", macs=macs, events=events, sites=sites, geometry=geometry)


def test_convolution_of_a_constant_analog_input_by_hand() -> None:
    # 3 non-zero values in the middle: 54 multiply-accumulates, at the first step only
    once = (
        54 * access(25)  # input, for each of them
        + 54 * access(18)  # weights
        + 18 * access(2)  # biases
        + 54 * 3.2
        + 18 * 0.1  # biases added
        + (25 + 18 + 2 * 9) * 0.1  # addresses
    )
    held = 18 * access(18) + (2 * 18) * access(18)  # the current: written once, read at both steps
    assert picojoules(analog(CONV, 3, 54, presentations=1)) == pytest.approx(once + held)


def test_convolution_of_a_changing_analog_input_is_charged_at_every_step() -> None:
    # as above, both steps, nothing held
    one_step = 54 * access(25) + 54 * access(18) + 18 * access(2) + 54 * 3.2 + 18 * 0.1 + 61 * 0.1
    assert picojoules(analog(CONV, 6, 108, presentations=2)) == pytest.approx(2 * one_step)


def test_fully_connected_layer_on_analog_input_by_hand() -> None:
    # 4 non-zero values at each of 2 steps: 80 multiply-accumulates; each value is read once
    expected = 8 * access(18) + 80 * access(180) + 80 * 3.2 + 80 * 0.1
    assert picojoules(analog(LINEAR, 8, 80, presentations=2)) == pytest.approx(expected)


def test_layers_without_geometry_cost_their_arithmetic() -> None:
    for role in ("attention", "residual", "readout", "synapse"):
        layer = LayerCount("c", role, operations=Operations(adds=10, multiplies=5))
        assert picojoules(layer) == pytest.approx(10 * 0.1 + 5 * 3.1)


def test_weights_inside_attention_cost_their_arithmetic() -> None:
    inside = replace(analog(LINEAR, 8, 80, presentations=2), role="attention")
    assert picojoules(inside) == pytest.approx(80 * 3.2)
    assert picojoules(replace(inside, sops=80, macs=0)) == pytest.approx(80 * 0.1)


def test_energy_grows_with_the_spikes() -> None:
    energies = [picojoules(spiking(CONV, events, 18 * events)) for events in range(4)]
    growth = [more - less for less, more in pairwise(energies)]
    assert min(growth) > 0
    assert growth == pytest.approx([growth[0]] * 3)


def test_memory_takes_nearly_all_of_a_convolution() -> None:
    # 64 -> 64 channels, 32x32 map, 3x3 kernel: one spike in ten over both steps, 576 operations each
    events = 2 * 64 * 32 * 32 // 10
    geometry = Geometry(inputs=65536, outputs=65536, channels=64, weights=36864, kernel=(3, 3), biased=True)
    layer = spiking(geometry, events, 576 * events)
    computing = 576 * events * 0.1 + 2 * events * 3.2 + 576 * events * 0.1  # accumulates and addresses
    assert computing < 0.01 * picojoules(layer)


def test_energy_is_per_sample() -> None:
    layer = spiking(CONV, events=3, sops=54)
    twice = replace(layer, events=6, sops=108, sites=2 * layer.sites)
    assert picojoules(twice, samples=2) == pytest.approx(picojoules(layer))
