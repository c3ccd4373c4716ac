"""Ceilings of a training step's memory, against its estimate from a step on tensors without data."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.judging.ceiling import SAMPLES, step_ceiling, unwritten
from spikefront.runners.judging.footprint import Footprint, footprint, needs_recomputing
from spikefront.runners.judging.memory import MB
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import from_flat

CANDIDATES: list[dict[str, Any]] = [
    {"coding": "direct", "backbone": "mlp"},
    {"coding": "direct", "backbone": "mlp", "training.surrogate": "erf", "neuron": "plif"},
    {"coding": "gac", "backbone": "convnet", "steps": 2},
    {"coding": "direct", "backbone": "spiking-transformer"},
    {"coding": "direct", "backbone": "recurrent", "task": "mnist1d"},
]


@pytest.mark.parametrize("flat", CANDIDATES, ids=lambda flat: f"{flat['coding']}-{flat['backbone']}")
def test_the_ceiling_is_above_the_estimate(registry: Registry, flat: dict[str, Any]) -> None:
    candidate = from_flat({"task": "digits", **flat}, registry)
    task = registry.task(candidate)
    data = task.search_data(None, candidate.steps)
    x = task.prepare(data.train.inputs[:SAMPLES])
    network = assemble(candidate, registry, task.shape_at_one_step(tuple(x.shape[1:])), data.outputs)
    weights = sum(weight.nbytes for weight in network.parameters())
    ceiling = step_ceiling(network, x, candidate.training.schedule.batch)
    assert footprint(candidate, registry, data).step < 1.25 * ceiling + weights
    assert step_ceiling(network, x, 2 * candidate.training.schedule.batch) >= 1.7 * ceiling


def test_what_surely_fits_is_not_estimated_and_draws_nothing(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = from_flat({"task": "digits", "coding": "rate", "backbone": "mlp"}, registry)
    before, estimates = torch.get_rng_state(), []

    def estimated(*args: Any, **options: Any) -> Footprint:
        estimates.append(args)
        return footprint(*args, **options)

    monkeypatch.setattr("spikefront.runners.judging.footprint.footprint", estimated)
    assert not needs_recomputing(candidate, registry, data, 4096 * MB)
    assert estimates == []
    whole = footprint(candidate, registry, data)
    assert not needs_recomputing(candidate, registry, data, whole.total + 1 * MB)
    assert len(estimates) == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_new_weights_are_left_as_memory_is() -> None:
    before = torch.get_rng_state()
    with unwritten():
        layer = torch.nn.Linear(3, 4)
        torch.nn.init.kaiming_normal_(layer.weight)
        torch.nn.init.normal_(tensor=layer.weight)
    assert tuple(layer.weight.shape) == (4, 3)
    assert torch.equal(torch.get_rng_state(), before)
