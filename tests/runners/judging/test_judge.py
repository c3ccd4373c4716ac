"""Judging one candidate from a plain dict."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import UnknownName, UsageError

QUICK = {
    "task": "digits",
    "coding": "rate",
    "backbone": "mlp",
    "steps": 3,
    "training.epochs": 2,
    "training.subset": 256,
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "seconds"}


def test_same_candidate_and_seed_give_the_same_numbers_twice(registry: Registry) -> None:
    first, second = judge(QUICK, registry=registry), judge(QUICK, registry=registry)
    assert [numbers(epoch) for epoch in first.history] == [numbers(epoch) for epoch in second.history]
    assert first.counts == second.counts


def test_another_seed_gives_other_numbers(registry: Registry) -> None:
    first, second = judge(QUICK, registry=registry), judge({**QUICK, "seed": 1}, registry=registry)
    assert first.metrics["loss"] != second.metrics["loss"]


def test_same_numbers_in_a_new_process(registry: Registry) -> None:
    here = judge(QUICK, registry=registry).metrics
    script = (
        "import json, sys, torch\n"
        "from spikefront.runners.judging.judge import judge\n"
        "torch.set_num_threads(int(sys.argv[2]))\n"
        "print(json.dumps(judge(json.loads(sys.argv[1])).metrics))"
    )
    import torch

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
