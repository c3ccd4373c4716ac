"""Hybrid conversion: a code for each layer of one ANN; the diagonal is the pure conversion, bit for bit."""

from __future__ import annotations

import itertools
from functools import partial

import optuna
import pytest
import torch
from tests.runners.judging import conversions
from torch import Tensor, nn

from spikefront.plugins import Operations, Registry, SearchData, Site, Synapse
from spikefront.plugins.neurons.hybrid import Hybrid
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import Judging
from spikefront.searchspace import Space, UsageError, from_flat, parse_set

CODES = ("rate", "css", "ttfs", "differential")
PURE = {
    "rate": {"coding": "rate-conversion", "neuron.if.reset": "soft"},
    "css": {"coding": "css"},
    "ttfs": {"coding": "ttfs-conversion"},
    "differential": {"coding": "differential-conversion"},
}
converted = partial(conversions.converted, coding="hybrid-conversion")


def codes(given: str, *stages: str, **more: object) -> dict[str, object]:
    """Return the settings that give input and stages these codes; the last goes on."""
    every = [*stages, *[stages[-1]] * (3 - len(stages))]
    named = {"input": given} | {f"stage{number}": code for number, code in enumerate(every, 1)}
    return {f"coding.hybrid-conversion.{name}": value for name, value in named.items()} | more


def images(judging: Judging, data: SearchData) -> Tensor:
    return judging._task.prepare(data.train.inputs[:300:6])


@pytest.mark.parametrize("backbone", ["mlp", "convnet"])
@pytest.mark.parametrize(("code", "given"), [*((code, "analog") for code in CODES), ("ttfs", "ttfs")])
def test_one_code_throughout_is_the_pure_conversion(
    registry: Registry, data: SearchData, code: str, given: str, backbone: str
) -> None:
    more: dict[str, object] = {"backbone": backbone, f"backbone.{backbone}.width": 16, "steps": 5}
    if backbone == "convnet":
        more["backbone.convnet.pool"] = "avg"
    ttfs = {"coding.ttfs-conversion.input": given} if code == "ttfs" else {}
    pure = conversions.converted(registry, data, **PURE[code], **more, **ttfs)
    hybrid = converted(registry, data, **codes(given, code, **more))
    x = images(pure, data)
    with torch.no_grad():
        assert torch.equal(hybrid.network(x), pure.network(x))
    ours, theirs = (count_operations(one.network, x) for one in (hybrid, pure))
    assert [layer for layer in ours.layers if layer.operations.adds or layer.role != "encoder"] == [
        layer for layer in theirs.layers if layer.operations.adds or layer.role != "encoder"
    ]
    assert hybrid.network.cuts == pure.network.cuts
    assert hybrid.network.latency_steps(ours.delay) == pure.network.latency_steps(theirs.delay)


@pytest.mark.parametrize("stages", [("rate", "ttfs"), ("ttfs", "rate"), ("css", "rate"), ("rate", "differential")])
def test_long_codes_give_the_outputs_of_the_ann(registry: Registry, data: SearchData, stages: tuple[str, ...]) -> None:
    """Batch norm, biases and average pooling included, whatever codes the layers have."""
    errors = []
    for steps in (4, 32):
        judging = converted(
            registry,
            data,
            backbone="convnet",
            steps=steps,
            **codes("ttfs", *stages, **{"coding.hybrid-conversion.percentile": 100.0, "backbone.convnet.width": 4}),
        )
        assert judging.ann is not None
        x = images(judging, data)
        with torch.no_grad():
            spiking, ann = judging.network(x), judging.ann.eval()(x)
        errors.append(float((spiking - ann).abs().mean() / ann.std()))
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 2


HELD = [
    ("analog", "rate", "ttfs"),
    ("analog", "ttfs", "rate"),
    ("ttfs", "rate", "ttfs"),
    ("ttfs", "ttfs", "rate"),
    ("rate", "ttfs", "rate"),
    ("rate", "ttfs", "ttfs"),
]
"""Codes of which none is a rate behind a rate, whose count depends on when the spikes come."""


@pytest.mark.parametrize(("given", "stages"), [(given, stages) for given, *stages in HELD])
def test_rates_and_times_are_the_levels_of_a_quantised_ann(
    registry: Registry, data: SearchData, stages: list[str], given: str
) -> None:
    """``round(a T)`` spikes of T, or one at ``T - round(a T)``, stand for one of T levels of a current that is held."""
    steps = 8
    more: dict[str, object] = {"backbone.mlp.depth": 2, "backbone.mlp.width": 16, "steps": steps}
    judging = converted(registry, data, **codes(given, *stages, **more))
    values = images(judging, data).flatten(1).double()
    if given != "analog":
        values = (values * steps + 0.5).floor().clamp(0, steps) / steps
    net = judging.network.double()
    layers = net.backbone.layers
    assert isinstance(layers, nn.Sequential)
    for before, layer in itertools.pairwise(layers):
        if isinstance(layer, Site):
            assert isinstance(before, Synapse)
            weight, bias = before.folded()
            assert bias is not None
            assert layer.scale is not None
            largest = layer.scale * (steps if layer.neuron.name == "ttfs" or _emits(layer) == "ttfs" else 1)
            level = ((values @ weight.T + bias) / largest * steps + 0.5).floor().clamp(0, steps)
            values = level / steps * largest
    last = layers[-1]
    assert isinstance(last, Synapse)
    expected = nn.functional.linear(values, *last.folded())
    with torch.no_grad():
        torch.testing.assert_close(net(images(judging, data).double()), expected, rtol=1e-4, atol=1e-4)


def _emits(site: Site) -> str:
    return site.neuron.emitter.name if isinstance(site.neuron, Hybrid) else site.neuron.name


def test_a_window_between_two_codes_is_charged_as_a_read_out(registry: Registry, data: SearchData) -> None:
    steps, width = 6, 16
    more: dict[str, object] = {"backbone.mlp.depth": 2, "backbone.mlp.width": width, "steps": steps}
    judging = converted(registry, data, **codes("analog", "rate", "ttfs", **more))
    x, net = images(judging, data), judging.network
    fired: list[Tensor] = []
    for site in net.sites:
        site.register_forward_hook(lambda module, args, out: fired.append(out.values))
    with torch.no_grad():
        net(x)
    counts = count_operations(net, x)
    rates, times = fired[:2]
    compared = 0
    for neuron in times.flatten(1).T:
        at = neuron.nonzero()
        compared += int(at[0]) + 1 if len(at) else steps
    neurons = len(x) * width
    known = {layer.layer: layer for layer in counts.layers}
    assert [name for name, layer in known.items() if layer.role == "neuron"] == [
        "backbone.layers.2.neuron",
        "backbone.layers.4.neuron",
    ]
    first, second = (known[f"backbone.layers.{number}.neuron"].operations for number in (2, 4))
    assert first == Operations(adds=2 * steps * neurons + int(rates.sum()))
    assert second == Operations(adds=steps * neurons + neurons + compared)
    assert known["backbone.layers.3"].sops == int(rates.sum()) * width


@pytest.mark.parametrize(
    ("given", "stages", "windows", "lag"),
    [
        ("analog", ("rate", "rate"), 1, 0),
        ("analog", ("rate", "ttfs"), 2, 0),
        ("ttfs", ("rate", "ttfs"), 3, 0),
        ("analog", ("ttfs", "rate"), 2, 0),
        ("ttfs", ("ttfs", "ttfs"), 3, 0),
        ("css", ("css", "rate"), 2, 2),  # a silent period of 1 for the input and one for the first layer
    ],
)
def test_each_window_between_two_codes_takes_its_steps(
    registry: Registry, data: SearchData, given: str, stages: tuple[str, str], windows: int, lag: int
) -> None:
    more: dict[str, object] = {"backbone.mlp.depth": 2, "backbone.mlp.width": 16, "steps": 4}
    net = converted(registry, data, **codes(given, *stages, **more)).network
    delay = net.propagate(net.encode(torch.rand(2, 1, 8, 8))).delay
    assert net.latency_steps(delay) == 4 * windows + lag


def test_sums_of_several_codes_and_max_pooling_are_refused(registry: Registry) -> None:
    flat = {"task": "digits", "coding": "hybrid-conversion", "backbone": "ms-resnet"}
    with pytest.raises(UsageError, match=r"needs a chain of layers.*backbones that are: convnet, mlp, vgg"):
        registry.refuse(from_flat(flat, registry))
    with pytest.raises(UsageError, match="pool"):
        registry.refuse(from_flat(flat | {"backbone": "convnet", "backbone.convnet.pool": "max"}, registry))
    space = Space(registry, "digits", [parse_set("coding=hybrid-conversion")])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(40)]
    assert {candidate.backbone.name for candidate in drawn} == {"convnet", "mlp", "vgg"}
    assert {candidate.flat().get("backbone.convnet.pool", "avg") for candidate in drawn} == {"avg"}
