"""The twins: the ANN is the one that conversion trains; verdicts and break-even rates by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Registry, SearchData
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.twins import (
    break_even_rate,
    compare_all,
    compare_with_twins,
    judge_twins,
    verdict,
)
from spikefront.searchspace import Trial, UsageError, from_flat
from spikefront.searchspace.records import LayerEnergy, TwinComparison, TwinPair, TwinResult

QUICK: dict[str, Any] = {"task": "digits", "coding": "direct", "backbone": "mlp"}
QUICK |= {"training.epochs": 2, "training.subset": 300}


@pytest.mark.parametrize("energy_model", ["horowitz-45nm", "lemaire-45nm", "loihi-1"])
def test_few_bits_never_cost_more_than_full_width(registry: Registry, data: SearchData, energy_model: str) -> None:
    model = registry.get("energy", energy_model)()
    found = judge_twins(from_flat({**QUICK, "steps": 4}, registry), registry=registry, data=data, energy_model=model)
    assert found.bits == 3
    assert 0 < found.quantised.energy_nj < found.ann.energy_nj or found.quantised.macs > found.ann.macs
    assert found.quantised.quality > 0.5  # chance is 0.1


def test_the_ann_is_the_one_that_conversion_has_trained(
    registry: Registry, data: SearchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = {**QUICK, "coding": "rate-conversion", "steps": 5}
    judged = judge(flat, registry=registry, data=data, ann_cache=tmp_path)
    (kept,) = tmp_path.glob("*.pt")
    written = kept.stat().st_mtime_ns
    model = registry.get("energy", "horowitz-45nm")()
    found = judge_twins(judged.candidate, registry=registry, data=data, energy_model=model, ann_cache=tmp_path)
    assert found.ann.quality == judged.metrics["ann_quality"]
    assert kept.stat().st_mtime_ns == written
    assert len(list(tmp_path.glob("*.pt"))) == 2  # the other one has 3 bits
    alone = judge_twins(judged.candidate, registry=registry, data=data, energy_model=model)
    assert alone == found
    assert judge_twins(judged.candidate, registry=registry, data=data, energy_model=model, ann_cache=tmp_path) == found


def layer(role: str, energy_nj: float, silent_nj: float, events: float, sites: float) -> LayerEnergy:
    return LayerEnergy("layer", role, 0.0, 0.0, 0.0, 0.0, events, sites, energy_nj, silent_nj)


LAYERS = [
    layer("synapse", 100.0, 100.0, 5, 7),
    layer("neuron", 21.0, 20.0, 6, 60),
    layer("synapse", 30.0, 1.0, 6, 60),
    layer("neuron", 10.0, 10.0, 4, 40),
]


def test_the_break_even_rate_by_hand() -> None:
    # 131 nJ in silence, 30 nJ for 10 spikes on 100 neurons and steps: 3 nJ for each hundredth of the rate
    assert break_even_rate(LAYERS, 161.0) == pytest.approx(0.1)
    assert break_even_rate(LAYERS, 146.0) == pytest.approx(0.05)
    assert break_even_rate(LAYERS, 191.0) == pytest.approx(0.2)
    assert break_even_rate(LAYERS, 131.0) == 0
    assert break_even_rate(LAYERS, 50.0) == 0
    assert math.isnan(break_even_rate([], 50.0))
    assert math.isnan(break_even_rate(LAYERS[:1], 50.0))


@pytest.mark.parametrize(
    ("quality", "energy", "expected"),
    [
        (0.90, 5.0, "wins"),
        (0.89, 1.0, "trades"),  # cheap, and worse than both
        (0.80, 4.0, "trades"),
        (0.80, 6.0, "loses"),  # to the network of few bits
        (0.95, 99.0, "trades"),
        (0.90, 10.0, "loses"),  # a draw with the ANN
        (0.85, 5.0, "loses"),  # a draw with the other
    ],
)
def test_verdicts_by_hand(quality: float, energy: float, expected: str) -> None:
    twins = TwinPair(TwinResult(0.90, 10.0, 1.0), TwinResult(0.85, 5.0, 1.0), 3)
    assert verdict(quality, energy, twins) == expected
    errors = TwinPair(TwinResult(-0.90, 10.0, 1.0), TwinResult(-0.85, 5.0, 1.0), 3)
    assert verdict(-quality, energy, errors, maximize=False) == expected


def test_a_comparison_has_both_break_evens() -> None:
    twins = TwinPair(TwinResult(0.9, 161.0, 1.0), TwinResult(0.9, 146.0, 1.0), 3)
    trial = Trial(4, metrics={"quality": 0.9, "energy_nj": 161.0})
    found = compare_with_twins(trial, LAYERS, twins)
    assert (found.trial, found.verdict) == (4, "loses")
    assert found.twins is not None
    assert (found.twins.ann.quality, found.twins.quantised.energy_nj, found.twins.bits) == (0.9, 146.0, 3)
    rates = [found.twins.ann.break_even_rate, found.twins.quantised.break_even_rate]
    assert rates == pytest.approx([0.1, 0.05])


EVENTS = """
from spikefront.plugins import Task, hookimpl

class Flashes(Task):
    name = "flashes"
    inputs = "events"

@hookimpl
def register_tasks(register):
    register(Flashes)
"""


def test_members_without_a_twin_say_why_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "flashes.py").write_text(EVENTS)
    found: list[TwinComparison] = []
    flat: dict[int, dict[str, Any]] = {
        1: {**QUICK, "backbone": "sew-resnet"},
        2: QUICK,
        3: {"task": "flashes", "coding": "direct"},
    }
    metrics = {"quality": 0.0, "energy_nj": 1e9}
    members = [(Trial(number, candidate=each, metrics=metrics), ()) for number, each in flat.items()]
    options: dict[str, Any] = {"data_dir": None, "ann_cache": tmp_path / "anns", "on_comparison": found.append}
    compare_all(members, plugins_dir=(tmp_path,), energy_model="horowitz-45nm", **options)
    assert [(each.trial, each.verdict) for each in found] == [(1, "none"), (2, "loses"), (3, "none")]
    assert found[0].reason == "backbone 'sew-resnet' with rectifiers for neurons is no ANN of the same form"
    assert found[2].reason == "task 'flashes' gives events, which an ANN of one step does not take"
    assert found[1].twins is not None
    with pytest.raises(UsageError, match="energy model 'guess' is missing here: "):
        compare_all(members, plugins_dir=(), energy_model="guess", **options)
