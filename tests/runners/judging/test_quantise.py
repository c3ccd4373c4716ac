"""Networks of few bits: rounded as arithmetic gives, and counted as any other."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from spikefront.plugins import Counts, LayerCount, Operations, Registry, SearchData, Synapse
from spikefront.plugins.network.traffic import Traffic
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import assemble_ann
from spikefront.runners.judging.quantise import (
    best_scale,
    bit_energy_nj,
    bits_of,
    calibrated_scales,
    rounded,
    rounding,
)
from spikefront.searchspace import from_flat

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
    # its own reconstruction has 8 digits too: synapses of 35.5 pJ, and a message of 111 pJ for each value
    assert digits["second"] == pytest.approx(8 * (1000 * 35.5 + 100 * 111.0) / 1000 / 2)
    sent = tuple(replace(layer, traffic=Traffic(messages=layer.events, hops_x=7, storage="dense")) for layer in layers)
    routed = bit_energy_nj(replace(counts, layers=sent), registry.get("energy", "loihi-1")(), 8, ["second"])
    assert routed["second"] == pytest.approx(8 * (1000 * 35.5 + 100 * 111.0 + 7 * 3.0) / 1000 / 2)
