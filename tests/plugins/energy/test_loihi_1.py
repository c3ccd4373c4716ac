"""Loihi 1 against figures of the SANA-FE simulator (2.2.9), a loop over neurons, and the simulator where it is."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from tests.plugins.energy.chip_loop import BARRIERS, Found, Net, run, table_input, table_net

from spikefront.plugins import Counts, Geometry, LayerCount, Operations, load_registry
from spikefront.plugins.energy.loihi_1 import Loihi1, Loihi1Config
from spikefront.plugins.network.traffic import Timing, Traffic

SANAFE = os.environ.get("SPIKEFRONT_SANAFE", sys.executable if importlib.util.find_spec("sanafe") else "")
"""A Python that has SANA-FE."""


def counts_of(found: Found, net: Net, steps: int) -> Counts:
    """Return the counts of a run; messages and hops are put to the first synapse."""
    cores = {core for layer in net.cores for core in layer}
    tiles = {core // 4 for core in cores}
    way = Traffic(messages=found.messages, hops_x=found.x_hops, hops_y=found.y_hops)
    layers = []
    for store, synapses in found.synapses.items():
        layers.append(LayerCount(store, "synapse", sops=synapses, traffic=replace(way, storage=store)))
        way = Traffic()
    neurons = Traffic(accesses=found.accesses, updates=found.updates)
    layers.append(LayerCount("neurons", "neuron", events=found.spikes, traffic=neurons))
    barrier = next(ns for least, ns in BARRIERS if len(tiles) >= least)
    timing = Timing(steps, len(cores), len(tiles), found.ns - steps * barrier)
    return Counts(1, steps, tuple(layers), timing=timing)


def cost(counts: Counts) -> tuple[float, float]:
    """Return picojoules and nanoseconds."""
    model = Loihi1()
    latency_us = model.latency_us(counts)
    assert latency_us is not None
    return 1000 * model.energy_nj(counts), 1000 * latency_us


@pytest.mark.parametrize(
    ("name", "events", "energy_pj", "time_ns"),
    [
        ("A", (96, 79, 19, 23, 105, 0, 0), 14218.8, 5877.2),
        ("B", (234, 165, 32, 66, 274, 96, 54), 34809.6, 13698.6),
        ("C", (234, 234, 96, 130, 505, 323, 150), 51837.0, 14238.9),
    ],
)
def test_networks_cost_and_take_what_the_simulator_says(
    name: str, events: tuple[int, ...], energy_pj: float, time_ns: float
) -> None:
    net, steps = table_net(name)
    found = run(net, steps, table_input)
    assert found.events == events
    assert cost(counts_of(found, net, steps)) == pytest.approx((energy_pj, time_ns), rel=1e-12)


def documented_layer() -> Net:
    """Return the layer of docs/energy.md: 26 inputs, of which two spike, under all 18 kernels' taps."""
    return Net(
        sizes=(26, 18),
        targets=[{i: [(j, 0.125) for j in range(18)] for i in range(26)}],
        stores=["conv"],
        cores=[[0] * 26, [1] * 18],
        keep=1.0,
        hard=True,
        biases=[[0.0] * 18],
        fires=lambda v: False,
    )


@pytest.mark.parametrize(("steps", "energy_pj", "time_ns"), [(2, 3861.0, 1518.2), (3, 5171.4, 2292.8)])
def test_documented_layer_costs_what_the_simulator_says(steps: int, energy_pj: float, time_ns: float) -> None:
    net = documented_layer()
    found = run(net, steps, lambda i, t: (i, t) in {(0, 0), (0, 1), (1, 0)})
    assert cost(counts_of(found, net, steps)) == pytest.approx((energy_pj, time_ns), rel=1e-12)


def random_net(seed: int) -> tuple[Net, int, Callable[[int, int], bool]]:
    """Return a network on cores of its own choice, its steps, and its inputs."""
    draw = random.Random(seed)
    sizes = [draw.randint(3, 12) for _ in range(draw.randint(2, 5))]
    steps = draw.randint(3, 9)
    targets = [
        {i: [(j, draw.randint(-8, 16) / 8) for j in range(behind) if draw.random() < 0.6] for i in range(size)}
        for size, behind in pairwise(sizes)
    ]
    stores = [draw.choice(["dense", "sparse", "conv"]) for _ in targets]
    cores = []
    free = list(range(128))
    draw.shuffle(free)
    for size in sizes:
        own = [free.pop() for _ in range(draw.randint(1, 3))]
        cores.append([draw.choice(own) for _ in range(size)])
    keep, hard = draw.choice([1.0, 0.5, 0.75, 0.875]), draw.random() < 0.5
    bias = draw.choice([0.0, 0.0, 0.125, -0.25])
    biases = [[bias] * size for size in sizes[1:]]
    spikes = {(i, t) for i in range(sizes[0]) for t in range(steps) if draw.random() < 0.4}
    net = Net(sizes, targets, stores, cores, keep, hard, biases, fires=lambda v: v > 1.0)
    return net, steps, lambda i, t: (i, t) in spikes


@pytest.mark.slow
@pytest.mark.skipif(not SANAFE, reason="SANA-FE is not installed; SPIKEFRONT_SANAFE may name a Python that has it")
@pytest.mark.parametrize("which", ["A", "B", "C", *range(10)])
def test_simulator_itself_agrees(which: str | int) -> None:
    net, steps, inputs = random_net(which) if isinstance(which, int) else (*table_net(which), table_input)
    asked = {
        "sizes": net.sizes,
        "targets": net.targets,
        "stores": net.stores,
        "cores": net.cores,
        "keep": net.keep,
        "hard": net.hard,
        "biases": net.biases,
        "threshold": net.threshold,
        "steps": steps,
        "inputs": [[inputs(i, t) for i in range(net.sizes[0])] for t in range(steps)],
        "timing": "simple",
    }
    script = Path(__file__).with_name("run_sanafe.py")
    ended = subprocess.run([SANAFE, script], input=json.dumps(asked), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    found = cost(counts_of(run(net, steps, inputs), net, steps))
    assert found == pytest.approx((said["energy"]["total"], said["ns"]), rel=1e-9)


def picojoules(*layers: LayerCount, samples: int = 1, analog: str = "host") -> float:
    return 1000 * Loihi1(Loihi1Config(analog=analog)).energy_nj(Counts(samples, steps=4, layers=layers))


def test_a_constant_analog_input_is_the_hosts_unless_it_comes_as_eight_spikes() -> None:
    operations = Operations(adds=7)
    traffic = Traffic(messages=3, off_chip=True, storage="conv")
    read = LayerCount("a", "synapse", macs=54, macs_every_step=216, operations=operations, traffic=traffic)
    assert picojoules(read) == 0
    assert picojoules(read, analog="bits") == pytest.approx(7 * 24.0 + 8 * (54 * 24.0 + 3 * 111.0))


def test_an_analog_value_inside_the_network_is_eight_spikes() -> None:
    traffic = Traffic(messages=3, hops_x=2, hops_y=1, storage="dense")
    gated = LayerCount("a", "synapse", macs=30, macs_every_step=30, traffic=traffic)
    assert picojoules(gated) == pytest.approx(8 * (30 * 35.5 + 3 * 111.0 + 2 * 3.0 + 4.2))


def test_attention_and_sums_cost_a_synapse_per_addition_and_eight_per_multiplication() -> None:
    work = Operations(adds=10, multiplies=5)
    for role in ("attention", "residual"):
        assert picojoules(LayerCount("c", role, operations=work)) == pytest.approx((10 + 8 * 5) * 35.5)


def test_what_a_neuron_computes_is_part_of_its_update() -> None:
    traffic = Traffic(accesses=20, updates=7)
    neurons = LayerCount("b", "neuron", operations=Operations(adds=40, multiplies=20), events=3, traffic=traffic)
    assert picojoules(neurons) == pytest.approx(20 * 51.2 + 7 * 21.6 + 3 * 69.3)
    assert picojoules(neurons, samples=2) == pytest.approx(picojoules(neurons) / 2)


def test_counts_without_traffic_give_a_lower_bound_and_say_so() -> None:
    conv = LayerCount("a", "synapse", sops=54, events=3, geometry=Geometry(25, 18, 2, 18, kernel=(3, 3)))
    neurons = LayerCount("b", "neuron", events=4, sites=36)
    old = Counts(1, 2, (conv, neurons))
    model = Loihi1()
    # a core each, at T steps, updated only where a spike leaves
    bound = 54 * 24.0 + 3 * 111.0 + 36 * 51.2 + 4 * (21.6 + 69.3)
    assert 1000 * model.energy_nj(old) == pytest.approx(bound)
    assert "lower bound" in model.shortfall(old)
    assert model.metrics(old) == {}

    traffic = (Traffic(messages=3, storage="conv"), Traffic(accesses=54, updates=36))
    new = Counts(1, 2, (LayerCount("a", "synapse", sops=54, traffic=traffic[0]),
                        LayerCount("b", "neuron", events=4, traffic=traffic[1])))  # fmt: skip
    assert model.shortfall(new) == ""
    assert model.energy_nj(new) > model.energy_nj(old)


def test_energy_delay_product_is_microjoules_times_seconds() -> None:
    neurons = LayerCount("b", "neuron", events=0, traffic=Traffic(accesses=10_000))
    counts = Counts(2, 4, (neurons,), timing=Timing(steps=5, cores=300, tiles=75, busy_ns=4000.0))
    # 10,000 accesses of 51.2 pJ, and 4 us busy, of two samples; 5 steps with a wait of 1.8 us; 300 cores of 128 a chip
    assert Loihi1().metrics(counts) == pytest.approx({"latency_us": 11.0, "edp_uj_s": 0.256 * 11e-6, "chips": 3})


def test_searches_priced_by_operation_are_of_another_version() -> None:
    assert load_registry(third_parties=False).versions()["energy.loihi-1"].endswith("+1")
