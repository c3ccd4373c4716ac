"""Estimates of memory before training, against what trainings in processes of their own take."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.judging.footprint import DoesNotFit, footprint, needs_recomputing, share_of_trial
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.memory import MB
from spikefront.searchspace import Candidate, from_flat

FACTOR = 1.4
"""The total of an estimate, and the peak of a process, differ by no more than this."""
CANDIDATES: dict[str, dict[str, Any]] = {
    "small": {"coding": "rate", "backbone": "mlp", "steps": 4},
    "convnet": {"coding": "direct", "backbone": "convnet", "backbone.convnet.width": 64, "steps": 16},
    "residual": {"coding": "latency", "backbone": "ms-resnet", "backbone.ms-resnet.width": 32, "steps": 8},
    "converted": {"coding": "rate-conversion", "backbone": "vgg", "steps": 16},
}
MEASURE = """
import json, sys
from spikefront.plugins import load_registry
from spikefront.runners.judging.footprint import footprint
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.memory import MB
from spikefront.searchspace import from_flat

registry = load_registry(third_parties=False)
candidate = from_flat(json.loads(sys.argv[1]), registry)
data = registry.task(candidate).search_data(None, candidate.steps)
estimate = footprint(candidate, registry, data).total / MB
limit = None if len(sys.argv) == 2 else 0.93 * estimate * MB
model = registry.energy_model("horowitz-45nm")
judging = Judging(candidate, registry=registry, data=data, energy_model=model, memory=limit)
metrics = judging.epoch()
print(json.dumps([estimate, metrics["peak_memory_mb"], metrics["quality"], metrics.get("recomputed", 0.0)]))
"""


def flat_of(name: str) -> dict[str, Any]:
    few = {"training.epochs": 1, "training.subset": 256, "training.batch": 128}
    return {"task": "digits", **few, **CANDIDATES[name]}


def measured(name: str, *limited: str) -> list[float]:
    command = [sys.executable, "-c", MEASURE, json.dumps(flat_of(name)), *limited]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(float, json.loads(found.stdout)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CANDIDATES)
def test_the_estimate_is_near_the_peak(name: str) -> None:
    estimate, peak, *_ = measured(name)
    assert peak / FACTOR < estimate < peak * FACTOR


@pytest.mark.slow
def test_what_would_not_fit_is_recomputed_and_is_the_same() -> None:
    _, _, quality, recomputed = measured("residual")
    _, _, same, now = measured("residual", "limited")
    assert (recomputed, now) == (0, 1)
    assert same == quality


def test_the_estimate_grows_with_batch_and_steps(registry: Registry, data: SearchData) -> None:
    def step(**more: int) -> float:
        return footprint(from_flat({**flat_of("convnet"), "steps": 4, **more}, registry), registry, data).step

    before = torch.get_rng_state()
    assert step(**{"training.batch": 128}) == pytest.approx(2 * step(**{"training.batch": 64}), rel=0.2)
    assert 2.5 < step(steps=16) / step() < 4.5
    assert torch.equal(torch.get_rng_state(), before)


def test_sequences_are_estimated_point_by_point(registry: Registry) -> None:
    candidate = from_flat({"task": "mnist1d", "coding": "direct", "backbone": "mlp"}, registry)
    found = footprint(candidate, registry, registry.task(candidate).search_data(None, candidate.steps))
    assert 0 < found.step < found.total


def test_one_that_cannot_fit_is_refused_with_its_estimate(registry: Registry, data: SearchData) -> None:
    candidate: Candidate = from_flat(flat_of("convnet"), registry)
    small = footprint(candidate, registry, data)
    assert not needs_recomputing(candidate, registry, data, small.total + 50 * MB)
    model = registry.energy_model("horowitz-45nm")
    with pytest.raises(DoesNotFit, match=r"[\d,]+ MB: [\d,]+ for a training step.*a trial has 100 MB here"):
        Judging(candidate, registry=registry, data=data, energy_model=model, memory=100 * MB)


def test_trials_share_the_memory_of_the_machine() -> None:
    whole = share_of_trial(1)
    assert whole is not None
    assert share_of_trial(4) == whole / 4
