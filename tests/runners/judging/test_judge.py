"""Judging one candidate from a plain dict."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.judging.judge import Judging, judge
from spikefront.runners.judging.seeding import seed_everything
from spikefront.searchspace import UnknownName, UsageError, from_flat
from spikefront.searchspace.objectives import OF_THE_MACHINE

QUICK = {
    "task": "digits",
    "coding": "rate",
    "backbone": "mlp",
    "steps": 3,
    "training.epochs": 2,
    "training.subset": 256,
}


def numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in OF_THE_MACHINE}


def test_same_candidate_and_seed_give_the_same_numbers_twice(registry: Registry) -> None:
    first, second = judge(QUICK, registry=registry), judge(QUICK, registry=registry)
    assert [numbers(epoch) for epoch in first.history] == [numbers(epoch) for epoch in second.history]
    assert first.counts == second.counts


def test_another_seed_gives_other_numbers(registry: Registry) -> None:
    first, second = judge(QUICK, registry=registry), judge({**QUICK, "seed": 1}, registry=registry)
    assert first.metrics["loss"] != second.metrics["loss"]


@pytest.mark.slow
def test_same_numbers_in_a_new_process(registry: Registry) -> None:
    here = judge(QUICK, registry=registry).metrics
    script = (
        "import json, sys, torch\n"
        "from spikefront.runners.judging.judge import judge\n"
        "torch.set_num_threads(int(sys.argv[2]))\n"
        "print(json.dumps(judge(json.loads(sys.argv[1])).metrics))"
    )
    arguments = [sys.executable, "-c", script, json.dumps(QUICK), str(torch.get_num_threads())]
    there = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert numbers(there) == numbers(here)


def test_metrics_hold_what_they_promise(registry: Registry) -> None:
    epochs: list[int] = []
    found = judge(QUICK, registry=registry, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == [1, 2]
    metrics = found.metrics
    assert 0.1 < metrics["quality"] <= 1  # better than chance after two epochs on 256 digits
    assert metrics["latency_steps"] == 3
    assert metrics["macs"] == 0  # rate-coded input: accumulates only
    assert metrics["sops"] == found.counts.sops > 0
    # 64 -> 128 hidden with batch norm (2 x 128), then 128 -> 10 with bias
    assert metrics["parameters"] == 64 * 128 + 2 * 128 + 128 * 10 + 10
    assert metrics["energy_nj"] > 0.9e-3 * metrics["sops"]


def test_time_is_a_metric_of_models_that_have_one_alone(registry: Registry, data: SearchData) -> None:
    judging = start(registry, data)
    first = judging.epoch()
    assert not {"latency_us", "edp_uj_s", "chips"} & first.keys()
    assert judging.counts.timing is None  # counted at the last epoch, for those who price it later
    while not judging.finished:
        judging.epoch()
    assert judging.counts.timing is not None

    timed = judge({**QUICK, "training.epochs": 1}, registry=registry, data=data, energy_model="loihi-1").metrics
    assert timed["edp_uj_s"] == pytest.approx(timed["energy_nj"] * 1e-3 * timed["latency_us"] * 1e-6)
    assert timed["latency_us"] > 0.6 * (3 + 2)  # each step ends with a barrier; two layers behind the inputs
    assert timed["chips"] == 1


def test_rates_of_the_quietest_and_the_busiest_layer_are_told(registry: Registry, data: SearchData) -> None:
    judging = start(registry, data, **{"backbone.mlp.depth": 2, "neuron.lif.threshold": 0.3})
    metrics = judging.epoch()
    rates = judging.counts.layer_rates.values()
    assert len(rates) == 2
    assert metrics["min_layer_rate"] == min(rates) < metrics["spike_rate"] < max(rates) == metrics["max_layer_rate"]


def start(registry: Registry, data: SearchData, **more: object) -> Judging:
    candidate = from_flat({**QUICK, "training.epochs": 4, **more}, registry)
    return Judging(candidate, registry=registry, data=data, energy_model=registry.get("energy", "horowitz-45nm")())


def saved(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is read back of a state, by the reader that runs no code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    read: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu")
    return read


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"backbone": "vgg", "backbone.vgg.dropout": 0.5, "backbone.vgg.width": 4, "neuron": "plif"},
        {"training.optimizer": "sgd", "coding": "latency"},
        {"coding": "sac", "backbone": "convnet", "backbone.convnet.width": 4, "training.batch": 100},
        {"coding": "tcja", "neuron": "alif"},
    ],
    ids=lambda more: "-".join(str(value) for value in more.values()) or "rate",
)
def test_a_restored_judging_goes_on_as_if_it_had_never_stopped(
    registry: Registry, data: SearchData, more: dict[str, object]
) -> None:
    whole = start(registry, data, **more)
    expected = [numbers(whole.epoch()) for _ in range(4)]
    first = start(registry, data, **more)
    assert [numbers(first.epoch()) for _ in range(2)] == expected[:2]
    state = saved(first.state())
    first.epoch()  # what was saved stays
    second = start(registry, data, **more)
    seed_everything(99)  # as after other candidates
    second.restore(state)
    assert second.epochs_done == 2
    assert [numbers(second.epoch()) for _ in range(2)] == expected[2:]
    assert second.finished
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def test_every_random_source_goes_on(registry: Registry, data: SearchData) -> None:
    """Normal numbers come in pairs: the second one is kept inside the generator."""

    def draw() -> tuple[float, ...]:
        return (
            random.gauss(),
            float(np.random.standard_normal()),
            random.random(),
            np.random.rand(),
            float(torch.rand(())),
        )

    judging = start(registry, data)
    draw()
    state = saved(judging.state())
    expected = [draw() for _ in range(3)]
    other = start(registry, data)
    seed_everything(99)  # as after other candidates
    draw()
    other.restore(state)
    assert [draw() for _ in range(3)] == expected


def test_a_conversion_has_no_state_between_epochs(registry: Registry, data: SearchData) -> None:
    judging = start(registry, data, coding="rate-conversion")
    assert judging.state() == {}
    judging.restore({})
    assert numbers(judging.epoch()) == numbers(start(registry, data, coding="rate-conversion").epoch())
    assert judging.state() == {}


def test_a_state_of_another_network_is_refused(registry: Registry, data: SearchData) -> None:
    other = start(registry, data, **{"backbone.mlp.width": 32})
    with pytest.raises(RuntimeError, match="size mismatch"):
        start(registry, data).restore(other.state())


def test_unknown_names_and_values_outside_are_refused_in_one_line(registry: Registry) -> None:
    with pytest.raises(UnknownName, match=r"unknown coding 'latncy'. Did you mean 'latency'\?"):
        judge({**QUICK, "coding": "latncy"}, registry=registry)
    with pytest.raises(UsageError, match=r"coding.latency.threshold: 0.9 is outside 0..0.2"):
        judge({**QUICK, "coding": "latency", "coding.latency.threshold": 0.9}, registry=registry)
    with pytest.raises(UnknownName, match=r"unknown hyperparameter 'trainig.epochs'"):
        judge({**QUICK, "trainig.epochs": 3}, registry=registry)


def test_judging_imports_neither_ray_nor_mlflow() -> None:
    script = "import sys, spikefront.runners.judging.judge; print(sorted({'ray', 'mlflow'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
