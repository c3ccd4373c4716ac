"""The twins: the ANN is the one that conversion trains; break-even rates by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.twins import break_even_rate, judge_twins, judge_twins_under, why_no_twin
from spikefront.searchspace import from_flat
from spikefront.searchspace.records import LayerEnergy

QUICK: dict[str, Any] = {"task": "digits", "coding": "direct", "backbone": "mlp"}
QUICK |= {"training.epochs": 2, "training.subset": 300}
LEAST: dict[str, Any] = {**QUICK, "steps": 2, "training.epochs": 1, "training.subset": 64}


@pytest.mark.parametrize("energy_model", ["horowitz-45nm", "lemaire-45nm", "loihi-1"])
def test_few_bits_never_cost_more_than_full_width(registry: Registry, data: SearchData, energy_model: str) -> None:
    model = registry.get("energy", energy_model)()
    found = judge_twins(from_flat({**QUICK, "steps": 4}, registry), registry=registry, data=data, energy_model=model)
    assert found.bits == 3
    assert 0 < found.quantised.energy_nj < found.ann.energy_nj or found.quantised.macs > found.ann.macs
    assert found.quantised.quality > 0.5  # chance is 0.1


def test_few_bits_tell_as_much_apart_as_counts_do(registry: Registry, data: SearchData) -> None:
    model = registry.get("energy", "horowitz-45nm")()
    for most, bits in ((1, 2), (4, 4), (8, 5)):
        flat = {**LEAST, "neuron": "i-lif", "neuron.i-lif.most": most}
        assert judge_twins(from_flat(flat, registry), registry=registry, data=data, energy_model=model).bits == bits


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
    # of which (191.68 - 104.9) / (239.6 - 104.9) = 0.64425 of the spikes are as much as the twin's energy
    gated = [layer("neuron", 50.0, 50.0, 43_307, 1_000_000), layer("synapse", 189.6, 54.9, 0, 0)]
    assert break_even_rate(gated, 191.68) == pytest.approx(0.64425 * 0.043307, rel=1e-5)
    assert break_even_rate(gated, 239.6) == pytest.approx(0.043307)


EVENTS = """
from spikefront.plugins import Task, hookimpl

class Flashes(Task):
    name = "flashes"
    inputs = "events"

@hookimpl
def register_tasks(register):
    register(Flashes)
"""


def test_what_has_no_twin_says_why(tmp_path: Path) -> None:
    (tmp_path / "flashes.py").write_text(EVENTS)
    registry = load_registry((tmp_path,))

    def why(**flat: Any) -> str:
        return why_no_twin(from_flat({**QUICK, **flat}, registry), registry)

    assert why() == ""
    assert why(backbone="sew-resnet") == "backbone 'sew-resnet' with rectifiers for neurons is no ANN of the same form"
    assert why(task="flashes") == "task 'flashes' gives events, which an ANN of one step does not take"


def test_twins_are_trained_under_the_seed_that_is_given(registry: Registry, data: SearchData) -> None:
    candidate, model = from_flat(LEAST, registry), registry.get("energy", "horowitz-45nm")()
    known: dict[str, Any] = {"registry": registry, "data": data, "energy_model": model}
    own = judge_twins(candidate, **known)
    found = judge_twins_under(candidate, candidate.seed, **known)
    assert found[0] == {
        **{f"ann.{name}": getattr(own.ann, name) for name in ("quality", "energy_nj", "macs")},
        **{f"quantised.{name}": getattr(own.quantised, name) for name in ("quality", "energy_nj", "macs")},
        "quantised.bits": own.bits,
    }
    by_cut = judge_twins_under(replace(candidate, steps=8), candidate.seed, cuts=(0, 4, 3), **known)
    assert {cut: each["quantised.bits"] for cut, each in by_cut.items()} == {0: 4, 4: 3, 3: 2}
    assert {each["ann.quality"] for each in by_cut.values()} == {own.ann.quality}
    assert judge_twins_under(candidate, candidate.seed + 1, **known)[0]["ann.energy_nj"] != own.ann.energy_nj


def test_a_twin_whose_quality_is_no_number_has_no_result(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, model = from_flat(LEAST, registry), registry.get("energy", "horowitz-45nm")()
    task = registry.get("task", "digits")
    monkeypatch.setattr(task, "score", lambda self, output, targets: math.nan)
    with pytest.raises(FloatingPointError, match=r"^quality is nan at epoch 1$"):
        judge_twins_under(candidate, 1, registry=registry, data=data, energy_model=model)
