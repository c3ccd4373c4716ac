"""TTFS conversion: the spiking network is the ANN with activations clamped to levels, and all operations counted."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.runners.judging import conversions
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Flatten, MaxPool, Registry, SearchData, Site, Synapse
from spikefront.plugins.bases.windows import WholeSynapse
from spikefront.plugins.neurons.ttfs import TTFS, comparisons
from spikefront.runners.judging.judge import Judging

GIVEN = ("ttfs", "analog")


converted = partial(conversions.converted, coding="ttfs-conversion")


def whole_numbers(synapse: Synapse, worth: Tensor | float) -> tuple[Tensor, Tensor | float, float]:
    """Return weights and biases in whole quanta, as the definition of the clamp network has them."""
    assert isinstance(synapse, WholeSynapse)
    weight, bias = (None if part is None else part.detach().double() for part in synapse.folded())
    assert weight is not None
    quantum = float(synapse.quantum)
    shape = [1, -1, *[1] * (weight.dim() - 2)]
    weighed = weight * worth if isinstance(worth, float) else weight * worth.view(shape)
    return (weighed / quantum).round(), 0.0 if bias is None else (bias / quantum).round(), quantum


def clamp_network(judging: Judging, x: Tensor, steps: int) -> Tensor:
    """Return the outputs of the clamp network, in whole numbers without time; of a chain of layers."""
    n = (x.double() * steps + 0.5).floor().clamp(0, steps)
    worth: Tensor | float = 1 / steps
    u, quantum = n, 1.0
    layers = judging.network.backbone.layers
    assert isinstance(layers, nn.Sequential)
    for layer in layers:
        if isinstance(layer, Synapse):
            weight, bias, quantum = whole_numbers(layer, worth)
            u = F.linear(n, weight) if isinstance(layer.weight, nn.Linear) else F.conv2d(n, weight, padding=1)
            if isinstance(bias, Tensor):
                u = u + bias.view(-1, *[1] * (u.dim() - 2))
            assert torch.equal(u, u.round())
        elif isinstance(layer, Site):
            assert layer.scale is not None
            assert isinstance(layer.neuron, TTFS)
            parts = (layer.scale[0].double() / quantum).view(-1, *[1] * (u.dim() - 2))  # quanta of a level
            assert torch.equal(parts, parts.round())
            n = torch.div(u + parts / 2, parts, rounding_mode="floor").clamp(0, steps)
            worth = layer.scale[0].double().expand(u.shape[1])
        elif isinstance(layer, MaxPool):
            n = F.max_pool2d(n, 2)
        elif isinstance(layer, AvgPool):
            n, worth = F.avg_pool2d(n, 2) * 4, worth / 4
        else:
            assert isinstance(layer, Flatten)
            if isinstance(worth, Tensor):
                worth = worth.repeat_interleave(math.prod(n.shape[2:]))
            n = n.flatten(1)
    return u * quantum


@pytest.mark.parametrize(
    "more",
    [
        {"backbone": "mlp", "backbone.mlp.depth": 2, "steps": 16},
        {"backbone": "convnet", "backbone.convnet.pool": "max", "steps": 5},
        {"backbone": "convnet", "backbone.convnet.pool": "avg", "steps": 12},
        {"steps": 64, "coding.ttfs-conversion.granularity": "layer", "coding.ttfs-conversion.bits": 16},
        {"steps": 8, "coding.ttfs-conversion.bits": 3},
        {"steps": 4, "coding.ttfs-conversion.scale": "least-error"},
    ],
    ids=lambda more: "-".join(map(str, more.values())),
)
def test_network_equals_the_clamp_network_to_the_last_digit(
    registry: Registry, data: SearchData, more: dict[str, Any]
) -> None:
    judging = converted(registry, data, **more)
    x = judging._task.prepare(data.validation.inputs[:100])
    with torch.no_grad():
        assert torch.equal(judging.network(x).double(), clamp_network(judging, x, more["steps"]))


@pytest.mark.parametrize(
    ("backbone", "given"),
    [
        ("mlp", "analog"),
        ("convnet", "ttfs"),
        *(
            pytest.param(deep, given, marks=pytest.mark.slow)
            for deep in ("vgg", "ms-resnet", "sew-resnet")
            for given in GIVEN
        ),
    ],
)
def test_many_levels_give_the_outputs_of_the_ann_and_each_neuron_fires_once(
    registry: Registry, data: SearchData, backbone: str, given: str
) -> None:
    more: dict[str, object] = {"coding.ttfs-conversion.percentile": 100.0, "coding.ttfs-conversion.input": given}
    errors = []
    for steps in (8, 64):
        judging = converted(registry, data, backbone=backbone, steps=steps, **more)
        assert judging.ann is not None
        x = judging._task.prepare(data.train.inputs[:300:6])
        most: list[float] = []
        for site in judging.network.sites:
            site.register_forward_hook(lambda site, args, out, most=most: most.append(float(out.values.sum(0).max())))
        with torch.no_grad():
            spiking, ann = judging.network(x), judging.ann.eval()(x)
        assert max(most) == 1
        errors.append(float((spiking - ann).abs().mean() / ann.std()))
    assert errors[1] < 0.04
    # sums of several trains need digits that the weights then lack
    assert errors[1] < errors[0] / (1.5 if backbone == "sew-resnet" else 3)


def test_every_operation_is_counted(registry: Registry, data: SearchData) -> None:
    """Beside a loop over layers: encoder, accumulates, ramps, comparisons, biases and read-out; nothing else."""
    steps, samples = 16, 20
    judging = converted(registry, data, **{"backbone": "mlp", "backbone.mlp.depth": 2, "steps": steps})
    from spikefront.runners.judging.counting import count_operations

    x = judging._task.prepare(data.validation.inputs[:samples])
    counts = count_operations(judging.network, x)
    signals: list[Tensor] = []
    handles = [
        module.register_forward_pre_hook(lambda module, args: signals.append(args[0].values))
        for module in judging.network.modules()
        if isinstance(module, Synapse)
    ]
    with torch.no_grad():
        judging.network(x)
    for handle in handles:
        handle.remove()
    width = judging.network.sites[0].info.channels
    fan_outs = (width, width, 10)
    sops = sum(int(spikes.sum()) * fan_out for spikes, fan_out in zip(signals, fan_outs, strict=True))
    looked = sum(_looks(spikes) for spikes in signals)  # the encoder's and two layers'
    ramps = samples * steps * (2 * width + 10)
    biases = samples * (2 * width + 10)
    assert (counts.sops * samples, counts.macs) == (sops, 0)
    assert sum(layer.operations.adds for layer in counts.layers) == looked + ramps
    assert sum(layer.biases for layer in counts.layers) == biases
    assert all(layer.operations.multiplies == layer.operations.shifts == 0 for layer in counts.layers)
    priced = registry.get("energy", "horowitz-45nm")().energy_nj(counts)
    assert priced == pytest.approx(0.9e-3 * (sops + looked + ramps + biases) / samples)


def _looks(spikes: Tensor) -> int:
    """Return comparisons one by one."""
    total = 0
    for train in spikes.flatten(1).T.tolist():
        total += train.index(1.0) + 1 if 1.0 in train else len(train)
    assert total == comparisons(spikes)
    return total


@pytest.mark.parametrize(("given", "windows"), [("ttfs", 4), ("analog", 3)])
def test_latency_is_a_window_per_layer_and_one_for_an_input_that_fires(
    registry: Registry, data: SearchData, given: str, windows: int
) -> None:
    more = {"backbone.mlp.depth": 3, "steps": 6, "coding.ttfs-conversion.input": given}
    judging = converted(registry, data, **more)
    assert judging.network.latency_steps(judging.counts.delay) == 6 * windows
    assert (judging.counts.macs > 0) == (given == "analog")
    assert judging.network.cuts == ()


def test_max_pooling_looks_once_per_spike_and_sums_of_potentials_add_once(registry: Registry, data: SearchData) -> None:
    judging = converted(registry, data, **{"backbone": "convnet", "backbone.convnet.pool": "max", "steps": 8})
    layers = {layer.layer: layer for layer in judging.counts.layers}
    neurons = [layer for layer in judging.counts.layers if layer.role == "neuron"]
    pools = [layer for layer in layers.values() if layer.role == "residual"]
    assert [pool.operations.adds for pool in pools] == [neuron.events for neuron in neurons]
    judging = converted(registry, data, **{"backbone": "ms-resnet", "backbone.ms-resnet.width": 4, "steps": 8})
    sums = [layer for layer in judging.counts.layers if layer.role == "residual"]
    assert [layer.operations.adds / judging.counts.samples for layer in sums] == [8 * 64, 16 * 16]
    shortcut = next(layer for layer in judging.counts.layers if layer.macs)
    assert shortcut.macs <= 8 * 16 * 16 * judging.counts.samples  # once for all steps: 16 places, 8 channels to 16
