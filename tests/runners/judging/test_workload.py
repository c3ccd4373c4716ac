"""The work of a forward pass, found without doing it."""

from __future__ import annotations

import math
import time

import pytest
import torch

from spikefront.plugins import load_registry
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.workload import Speed, Workload, Workloads, workload
from spikefront.searchspace import Space, from_flat, parse_set

REGISTRY = load_registry(third_parties=False)
MLP = {"task": "digits", "coding": "direct", "steps": 4, "backbone": "mlp", "backbone.mlp.width": 32}
MLP |= {"backbone.mlp.depth": 1, "training.epochs": 3}
SHORT = {"task": "digits", "coding": "rate", "steps": 8, "training.epochs": 1, "training.subset": 128}


def test_products_of_a_layer_are_counted_exactly() -> None:
    with torch.device("meta"):
        network = assemble(from_flat(MLP, REGISTRY), REGISTRY, (1, 8, 8), 10)
        found = workload(network, torch.zeros(2, 1, 8, 8))
    # direct coding: the first layer sees one step, the read-out four; a product and a sum for each weight
    assert found.flops == 2 * (64 * 32 + 4 * 32 * 10)
    assert found.calls > 4
    assert found.elements > 4 * 32


def test_seconds_are_the_samples_and_the_batches() -> None:
    speed = Speed(flops=100.0, elements=10.0, calls=5.0)
    work = Workload(flops=200.0, elements=30.0, calls=10.0)
    assert work.seconds(samples=7, at_once=3, speed=speed) == pytest.approx(7 * (2.0 + 3.0) + 3 * 2.0)


def test_epochs_and_steps_cost_in_proportion() -> None:
    data = REGISTRY.get("task", "digits")().search_data(None, 1)
    count = Workloads(REGISTRY, data).seconds
    once, thrice = (count(from_flat({**MLP, "training.epochs": n}, REGISTRY)) for n in (1, 3))
    assert thrice == pytest.approx(3 * once)
    slow = {**MLP, "coding": "rate", "steps": 16}
    assert count(from_flat(slow, REGISTRY)) > 2 * count(from_flat(MLP, REGISTRY))


def test_everything_that_goes_with_images_can_be_estimated() -> None:
    data = REGISTRY.get("task", "digits")().search_data(None, 1)
    space, count = Space(REGISTRY, "digits"), Workloads(REGISTRY, data).seconds
    codings = [prior.candidate.coding.name for prior in space.priors()]
    assert len(codings) >= 10
    for coding in codings:
        assert 0 < count(space.default(coding=coding)) < math.inf, coding
    for family in ("neuron", "backbone"):
        for name, entry in REGISTRY.entries[family].items():
            images = entry.plugin.layouts if family == "backbone" else entry.plugin.inputs
            if getattr(entry.plugin, "output", "values") == "images" or not images & {"images", "static"}:
                continue  # no classifier, or only for sequences
            coding = {"tsa": "css", "phase": "phase-conversion"}.get(name, "direct")
            coding = min(getattr(entry.plugin, "codings", None) or {coding})
            named = Space(REGISTRY, "digits", [parse_set(f"coding={coding}"), parse_set(f"{family}={name}")])
            assert 0 < count(named.default()) < math.inf, name


def test_an_estimate_is_much_quicker_than_judging_and_of_its_order() -> None:
    data = REGISTRY.get("task", "digits")().search_data(None, 1)
    count = Workloads(REGISTRY, data).seconds
    candidates = [
        from_flat({**SHORT, "backbone": name}, REGISTRY) for name in ("mlp", "convnet", "spiking-transformer")
    ]
    count(candidates[0])  # torch's first tensor without numbers takes a second
    started = time.process_time()
    estimates = [count(candidate) for candidate in candidates]
    estimating = time.process_time() - started
    measured = []
    for candidate in candidates:
        started = time.process_time()
        judge(candidate, registry=REGISTRY, data=data)
        measured.append(time.process_time() - started)
    assert estimating < sum(measured) / 2
    assert estimates == sorted(estimates)
    assert measured == sorted(measured)
