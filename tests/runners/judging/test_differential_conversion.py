"""Differential conversion: the spiking network does what its ANN does, may be stopped anywhere, and all is counted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from tests.runners.judging import conversions
from torch import Tensor, nn

from spikefront.plugins import Kind, Registry, SearchData, Site, Synapse
from spikefront.plugins.network.operations import product_by
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import Judging

RATES: Mapping[str, object] = {"neuron.mth.thresholds": 1, "neuron.mth.fire_ratio": 0.5}


converted = partial(conversions.converted, coding="differential-conversion")


def error(judging: Judging, data: SearchData) -> float:
    assert judging.ann is not None
    x = judging._task.prepare(data.train.inputs[:300:6])
    with torch.no_grad():
        spiking, ann = judging.network(x), judging.ann.eval()(x)
    return float((spiking - ann).abs().mean() / ann.std())


@pytest.mark.parametrize("backbone", ["mlp", "convnet", *(pytest.param("ms-resnet", marks=pytest.mark.slow),)])
def test_few_steps_give_the_outputs_of_the_ann(registry: Registry, data: SearchData, backbone: str) -> None:
    """Batch norm, biases, average pooling and sums of messages all included."""
    more = {"coding.differential-conversion.percentile": 100.0, "backbone": backbone}
    few, many = (error(converted(registry, data, steps=steps, **more), data) for steps in (2, 16))
    rates = error(converted(registry, data, steps=16, **more, **RATES), data)
    assert few < 0.1
    assert many < few / 2
    assert many < rates / 4


def test_layers_by_a_loop_over_the_update(registry: Registry, data: SearchData) -> None:
    """Two layers from the trained weights alone: changes of means, in the units of the ANN."""
    judging = converted(registry, data, steps=6, **{"backbone.mlp.width": 16})
    network = judging.network.double()
    x = judging._task.prepare(data.validation.inputs[:4]).double()
    first, second = (module for module in network.modules() if isinstance(module, Synapse))
    (w1, b1), (w2, b2) = first.folded(), second.folded()
    (site,) = network.sites
    assert b1 is not None
    assert b2 is not None
    assert site.scale is not None
    with torch.no_grad():
        current = torch.zeros(6, 4, 16, dtype=torch.float64)
        current[0] = (F.linear(x.flatten(1), w1, b1)) / site.scale
        messages = site.neuron(current, 6)
        by_hand = b2 + sum(F.linear(s * site.scale, w2) / t for t, s in enumerate(messages, 1))
        torch.testing.assert_close(network(x), by_hand, rtol=1e-9, atol=1e-9)


def test_every_step_is_the_end_of_a_shorter_conversion(registry: Registry, data: SearchData) -> None:
    whole, short = (converted(registry, data, steps=steps, backbone="convnet") for steps in (8, 3))
    assert whole.network.cuts == tuple(range(1, 8))
    x = whole._task.prepare(data.validation.inputs[:50])
    with torch.no_grad(), whole.network.cut_at(3):
        assert torch.equal(whole.network(x), short.network(x))


def test_every_operation_is_counted(registry: Registry, data: SearchData) -> None:
    steps, samples = 6, 20
    judging = converted(registry, data, steps=steps)
    x = judging._task.prepare(data.validation.inputs[:samples])
    counts = count_operations(judging.network, x)
    seen: list[tuple[Tensor, Tensor]] = []
    (site,) = judging.network.sites
    assert isinstance(site, Site)
    handle = site.neuron.register_forward_hook(lambda neuron, args, out: seen.append((args[0], out)))
    with torch.no_grad():
        judging.network(x)
    handle.remove()
    ((current, messages),) = seen
    assert bool((torch.frexp(messages[messages != 0]).mantissa.abs() == 0.5).all())
    fired, neurons = int((messages != 0).sum()), site.info.channels * samples
    synapse, layer, readout = (
        next(one for one in counts.layers if one.role == role and not one.macs)
        for role in ("synapse", "neuron", "readout")
    )
    assert (synapse.sops, synapse.operations.shifts, synapse.macs) == (10 * fired, 10 * fired, 0)
    assert layer.operations.adds == 8 * neurons * steps + 2 * fired
    divided = sum(
        product_by(1 / t).multiplies * int((current[t - 1] != 0).sum() + (messages[t - 1] != 0).sum())
        for t in range(1, steps + 1)
    )
    assert layer.operations.multiplies == divided
    assert readout.operations.adds == steps * samples * 10
    assert readout.operations.multiplies == 3 * samples * 10  # by 1/3, 1/5, 1/6
    analog = next(one for one in counts.layers if one.role == "synapse" and one.macs)
    assert analog.macs == analog.macs_every_step == int((x != 0).sum()) * site.info.channels  # once
    assert analog.biases == neurons
    assert judging.network.latency_steps(counts.delay) == steps


def test_edges_are_powers_of_two_with_one_factor(registry: Registry, data: SearchData) -> None:
    judging = converted(registry, data, steps=4, backbone="convnet")
    kinds = []
    for site in judging.network.sites:
        site.register_forward_hook(lambda site, args, out: kinds.append((out.kind, len(out.coefficient))))
    with torch.no_grad():
        judging.network(judging._task.prepare(data.validation.inputs[:2]))
    assert kinds == [(Kind.POWER, 1)] * 2
    assert isinstance(judging.network.backbone.layers, nn.Sequential)
