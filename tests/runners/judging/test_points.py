"""Points of one training: quality and counts of a network stopped early, against the network that is cut there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Data, EnergyModel, Registry, SearchData, Task
from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.runners.judging.counting import count_ends, count_operations
from spikefront.runners.judging.judge import Judging, judge
from spikefront.runners.judging.measuring import cuts_that_hold, measure, measure_points
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.sampling import energy_error, energy_errors
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import split_outputs, split_outputs_at
from spikefront.searchspace import from_flat
from spikefront.searchspace.objectives import OF_THE_MACHINE

SAC = [
    {"coding": "sac", "coding.sac.scope": scope, "coding.sac.normaliser": normaliser, "coding.sac.init": "geometric"}
    for scope, normaliser in product(("readout", "input", "layer", "channel"), ("softmax", "mean1", "l2"))
]
STATIC: list[dict[str, Any]] = [
    *({"coding": name, "steps": 5} for name in ("direct", "latency", "gac", "rate-conversion")),
    *({"coding": "rate", "coding.rate.spikes": spikes} for spikes in ("bernoulli", "deterministic")),
    *({"coding": "population", "coding.population.spikes": spikes} for spikes in ("bernoulli", "deterministic")),
    *({"coding": "burst", "coding.burst.burst": burst} for burst in ("multi-spike", "graded")),
    {"coding": "direct", "coding.direct.decoding": "membrane", "coding.direct.decay": 0.7},
    {"coding": "phase", "coding.phase.period": 2, "steps": 6},
    {"coding": "phase-conversion", "neuron.phase.period": 2, "steps": 6},
    *({"coding": "css", "neuron.tsa.silent_period": silent, "steps": 6} for silent in (0, 1, 2)),
    *SAC,
    {"coding": "sac", "coding.sac.scope": "readout", "coding.sac.preset": "ttfs-exp"},
    {"coding": "sac", "coding.sac.scope": "layer", "coding.sac.preset": "phase"},
]
EVENTS: list[dict[str, Any]] = [
    {"coding": "direct"},
    {"coding": "delta", "coding.delta.reference": "send-on-delta"},
    {"coding": "sac", "coding.sac.scope": "input", "coding.sac.preset": "ttfs-linear"},
]
BACKBONES = ("mlp", "convnet", "vgg", "ms-resnet", "sew-resnet", "spiking-transformer")
PARTS = 24


def grid(registry: Registry) -> Iterator[dict[str, Any]]:
    """Every built-in coding that can be cut, with every neuron and backbone that goes with it."""
    for task, codings in (("digits", STATIC), ("n-mnist", EVENTS)):
        for coding, neuron, backbone in product(codings, sorted(registry.entries["neuron"]), BACKBONES):
            chosen = {"task": task, "coding": coding["coding"], "neuron": neuron, "backbone": backbone}
            if registry.problem(chosen) is None:
                yield {"steps": 4, **chosen, **coding}


def made(flat: dict[str, Any], registry: Registry) -> tuple[Network, Tensor]:
    """Return an untrained network whose neurons fire, and inputs of it."""
    torch.manual_seed(3)
    candidate = from_flat(flat | ({"backbone.convnet.pool": "avg"} if flat["backbone"] == "convnet" else {}), registry)
    if flat["task"] == "digits":
        x, shape = torch.rand(37, 1, 8, 8), (1, 8, 8)
    else:
        x, shape = (torch.rand(9, candidate.steps, 2, 16, 16) * 1.7).floor(), (2, 16, 16)
    network = assemble(candidate, registry, shape, 10)
    return fit_norms(network, x), x


def prepared_task(flat: dict[str, Any], registry: Registry) -> Task:
    task = registry.task(from_flat(flat, registry))
    task.prepare = lambda batch: batch  # type: ignore[method-assign]  # the inputs are prepared already
    return task


def refuse_other_points(flat: dict[str, Any], registry: Registry) -> int:
    """Compare all points of a network with the networks cut there, and return how many they are."""
    network, x = made(flat, registry)
    cuts = network.cuts
    assert cuts_that_hold(network, x) == cuts
    task, data = prepared_task(flat, registry), Data(x, torch.zeros(len(x), dtype=torch.long))
    at_once = split_outputs_at(network, task, data, cuts)
    counts = count_ends(network, [x[::3]], cuts, traffic=False, seed=1)
    assert torch.equal(at_once[0], split_outputs(network, task, data))
    for cut in cuts:
        with network.cut_at(cut), fixed_randomness(1):
            assert torch.equal(split_outputs(network, task, data), at_once[cut])
            assert count_operations(network, x[::3], traffic=False) == counts[cut][0]
    return len(cuts)


def test_points_of_some_networks_are_those_of_the_networks_cut_there(registry: Registry) -> None:
    assert sum(refuse_other_points(flat, registry) for flat in list(grid(registry))[7::200]) > 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_points_of_every_network_are_those_of_the_networks_cut_there(registry: Registry, part: int) -> None:
    assert sum(refuse_other_points(flat, registry) for flat in list(grid(registry))[part::PARTS])


@pytest.mark.parametrize("model", ["horowitz-45nm", "loihi-1"])
@pytest.mark.parametrize("coding", ["rate", "css"])
def test_a_point_has_the_metrics_of_the_candidate_that_is_cut(registry: Registry, coding: str, model: str) -> None:
    flat = {"task": "digits", "coding": coding, "backbone": "mlp", "steps": 4}
    priced: EnergyModel = registry.energy_model(model)
    network, x = made(flat, registry)
    task, data = prepared_task(flat, registry), Data(x, torch.arange(len(x)) % 10)
    outputs = split_outputs_at(network, task, data, network.cuts)
    outputs.pop(0)
    errors = energy_errors(network, x, priced, (0, *outputs))
    assert errors[0] == energy_error(network, x, priced)
    points = measure_points(network, task, data, x, priced, outputs, errors)
    assert list(points) == [1, 2, 3]
    for cut, point in points.items():
        alone = assemble(from_flat(flat | {"cut": cut}, registry), registry, (1, 8, 8), 10).eval()
        alone.load_state_dict(network.state_dict())
        metrics, _ = measure(alone, task, data, x, priced, traffic=priced.reads_traffic)
        assert metrics | energy_error(alone, x, priced) == point


def without_time(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in OF_THE_MACHINE}


def test_a_training_has_points_after_its_last_epoch(registry: Registry, data: SearchData) -> None:
    flat: dict[str, Any] = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 3}
    flat |= {"training.epochs": 2, "training.subset": 64}
    judging = Judging(from_flat(flat, registry), registry=registry, data=data, energy_model=Horowitz45nm())
    judging.epoch()
    assert judging.points == {}
    whole = judging.epoch()
    assert list(judging.points) == [1, 2]
    assert [point["latency_steps"] for point in judging.points.values()] == [1, 2]
    assert judging.points[1]["energy_nj"] < judging.points[2]["energy_nj"] < whole["energy_nj"]
    assert all(point.keys() == whole.keys() for point in judging.points.values())
    cut = Judging(from_flat(flat | {"cut": 2}, registry), registry=registry, data=data, energy_model=Horowitz45nm())
    cut.epoch()
    assert without_time(cut.epoch()) == without_time(judging.points[2])
    assert cut.points == {}
    assert (cut.activity().steps, judging.activity().steps) == (2, 3)


def test_a_conversion_is_a_whole_curve(registry: Registry, data: SearchData) -> None:
    flat: dict[str, Any] = {"task": "digits", "coding": "rate-conversion", "backbone": "mlp", "training.epochs": 1}
    eight = judge(flat | {"steps": 8}, registry=registry, data=data)
    four = judge(flat | {"steps": 4}, registry=registry, data=data)
    assert list(eight.points) == list(range(1, 8))
    assert without_time(four.metrics) == without_time(eight.points[4])
