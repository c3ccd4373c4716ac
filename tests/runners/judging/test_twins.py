"""The twins: rounded as arithmetic says, counted as anything else, and the ANN the one that conversion has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from spikefront.plugins import Counts, LayerCount, Operations, Registry, SearchData, Synapse
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.network import assemble_ann
from spikefront.runners.judging.twins import (
    Comparison,
    Twin,
    Twins,
    best_scale,
    bit_energy_nj,
    bits_of,
    break_even_rate,
    calibrated_scales,
    compare,
    compare_all,
    judge_twins,
    rounded,
    rounding,
    verdict,
)
from spikefront.searchspace import UsageError, from_flat

QUICK: dict[str, Any] = {"task": "digits", "coding": "direct", "backbone": "mlp"}
QUICK |= {"training.epochs": 2, "training.subset": 300}


def test_bits_tell_apart_what_a_rate_code_does() -> None:
    assert [bits_of(steps) for steps in range(1, 200)] == [math.ceil(math.log2(steps + 1)) for steps in range(1, 200)]


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_rounding_is_that_of_the_docstring(bits: int) -> None:
    x, scale = torch.linspace(-1, 7, 333, dtype=torch.float64, requires_grad=True), 0.13
    found = rounded(x, scale, bits)
    top = 2**bits - 1
    expected = [scale * min(max(round(value / scale), 0), top) for value in x.tolist()]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [float(0 <= value <= top * scale) for value in x.tolist()]
    with torch.no_grad():
        assert set(rounded(x, scale, bits).tolist()) <= {level * scale for level in range(top + 1)}


def test_the_scale_is_the_one_with_the_least_error() -> None:
    values = torch.rand(500, generator=torch.Generator().manual_seed(1)).double() ** 6
    for bits in (1, 2, 4):
        top = 2**bits - 1
        tried = [float(values.max()) * part / 40 / top for part in range(1, 41)]
        errors = [sum((min(round(v / s), top) * s - v) ** 2 for v in values.tolist()) for s in tried]
        assert best_scale(values, bits) == pytest.approx(tried[errors.index(min(errors))])
    assert best_scale(torch.tensor([0.0, 0.5, 1.0, 1.5]), 2) == pytest.approx(0.5)  # exact: nothing is clipped
    assert best_scale(torch.zeros(3), 2) == 1.0


def test_a_rounding_network_is_that_of_slow_arithmetic(registry: Registry, data: SearchData) -> None:
    """One hidden layer: outputs, and the multiply-accumulates of the second synapse."""
    task, bits = registry.get("task", "digits")(), 2
    flat = {**QUICK, "backbone.mlp.depth": 1, "backbone.mlp.width": 16}
    torch.manual_seed(3)
    network = assemble_ann(from_flat(flat, registry), registry, (1, 8, 8), 10).eval()
    scales = calibrated_scales(network, task, data.train, bits)
    (name,) = scales  # not the first synapse, which reads the image
    x = task.prepare(data.validation.inputs[:9])
    synapses = {name: module for name, module in network.named_modules() if isinstance(module, Synapse)}
    with rounding(network, scales, bits), torch.no_grad():
        found, counts = network(x), count_operations(network, x)
        (w1, b1), (w2, b2) = (module.folded() for module in synapses.values())
        assert b1 is not None
        assert b2 is not None
        hidden = (x.flatten(1) @ w1.T + b1).relu()
        digits = (hidden / scales[name]).round().clamp(0, 3)
        torch.testing.assert_close(found, digits * scales[name] @ w2.T + b2)
    second = next(layer for layer in counts.layers if layer.layer == name)
    assert list(synapses)[1] == name
    assert second.macs == int((digits != 0).sum()) * 10
    assert 0 < second.macs < digits.numel() * 10
    with torch.no_grad():
        assert not torch.allclose(network(x), found)  # outside, nothing is rounded


def test_shortcuts_of_currents_are_left_alone(registry: Registry, data: SearchData) -> None:
    flat = {**QUICK, "backbone": "ms-resnet", "backbone.ms-resnet.layout": "small"}
    network = assemble_ann(from_flat(flat, registry), registry, (1, 8, 8), 10)
    scales = calibrated_scales(network, registry.get("task", "digits")(), data.train, 3)
    names = [name for name, module in network.named_modules() if isinstance(module, Synapse)]
    left = {name for name in names if name not in scales}
    assert left == {names[0], "backbone.layers.3.shortcut"}  # that of the first block reads what a rectifier put out


def test_few_bits_cost_an_accumulate_each_and_no_more_than_a_multiplication(registry: Registry) -> None:
    layers = (
        LayerCount("first", "synapse", macs=2000, macs_every_step=2000, events=200, sites=400),
        LayerCount("second", "synapse", macs=1000, macs_every_step=1000, events=100, sites=400),
        LayerCount("second#2", "synapse", macs=10, macs_every_step=10, events=1, sites=4),
        LayerCount("neurons", "neuron", operations=Operations(adds=100), events=50, sites=100),
    )
    counts, model = Counts(2, 1, layers), registry.get("energy", "horowitz-45nm")()
    for bits, price in ((1, 0.9), (3, 2.7), (5, 4.5), (6, 4.6), (9, 4.6)):  # pJ; a multiply-accumulate costs 4.6
        found = bit_energy_nj(counts, model, bits, ["second"])
        assert found["second"] == pytest.approx(1000 * price / 1000 / 2)
        assert found["second#2"] == pytest.approx(10 * price / 1000 / 2)
        assert found["first"] == pytest.approx(2000 * 4.6 / 1000 / 2)
        assert found["neurons"] == pytest.approx(100 * 0.9 / 1000 / 2)
    digits = bit_energy_nj(counts, registry.get("energy", "loihi-1")(), 8, ["second"])
    assert digits["second"] == pytest.approx(1000 * 8 * 23.6 / 1000 / 2)  # its own reconstruction has 8 digits too


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


LAYERS: list[Mapping[str, Any]] = [
    {"role": "synapse", "energy_nj": 100.0, "silent_nj": 100.0, "events": 5, "sites": 7},
    {"role": "neuron", "energy_nj": 21.0, "silent_nj": 20.0, "events": 6, "sites": 60},
    {"role": "synapse", "energy_nj": 30.0, "silent_nj": 1.0, "events": 6, "sites": 60},
    {"role": "neuron", "energy_nj": 10.0, "silent_nj": 10.0, "events": 4, "sites": 40},
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
def test_who_wins_and_who_loses(quality: float, energy: float, expected: str) -> None:
    twins = Twins(Twin(0.90, 10.0, 1.0), Twin(0.85, 5.0, 1.0), 3)
    assert verdict(quality, energy, twins) == expected
    errors = Twins(Twin(-0.90, 10.0, 1.0), Twin(-0.85, 5.0, 1.0), 3)
    assert verdict(-quality, energy, errors, maximize=False) == expected


def test_a_comparison_has_both_break_evens() -> None:
    twins = Twins(Twin(0.9, 161.0, 1.0), Twin(0.9, 146.0, 1.0), 3)
    found = compare({"quality": 0.9, "energy_nj": 161.0}, LAYERS, twins)
    assert (found.twins, found.verdict) == (twins, "loses")
    assert [found.ann_break_even_rate, found.quantised_break_even_rate] == pytest.approx([0.1, 0.05])


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
    found: dict[int, tuple[Comparison | str, bool]] = {}

    def take(trial: int, comparison: Comparison | str, lasting: bool) -> None:
        found[trial] = (comparison, lasting)

    flat: dict[int, dict[str, Any]] = {
        1: {**QUICK, "backbone": "sew-resnet"},
        2: QUICK,
        3: {"task": "flashes", "coding": "direct"},
    }
    metrics = {"quality": 0.0, "energy_nj": 1e9}
    options = {"data_dir": None, "ann_cache": tmp_path / "anns", "on_comparison": take}
    members = {trial: (each, metrics, ()) for trial, each in flat.items()}
    compare_all(members, plugin_dirs=(tmp_path,), energy_model="horowitz-45nm", **options)  # type: ignore[arg-type]
    assert found[1] == ("backbone 'sew-resnet' with rectifiers for neurons is no ANN of the same form", True)
    assert found[3] == ("task 'flashes' gives events, which an ANN of one step does not take", True)
    kept = found[2][0]
    assert isinstance(kept, Comparison)
    assert kept.verdict == "loses"
    with pytest.raises(UsageError, match="unknown energy"):
        compare_all(members, plugin_dirs=(), energy_model="guess", **options)  # type: ignore[arg-type]
