"""Activity of networks: spikes, rates and outputs against the codings, the counter and other implementations."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix, r2_score

from spikefront.plugins import Registry, SearchData, Synapse, Task
from spikefront.plugins.codings.latency import latency
from spikefront.plugins.contracts.task import Data
from spikefront.plugins.data.events import read_40_bit, to_frames
from spikefront.runners.judging import activity
from spikefront.runners.judging.activity import activity_of
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import Judgement, Judging, judge
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import from_flat
from spikefront.searchspace.activity import Activity, LayerActivity

NMNIST = Path(__file__).parents[2] / "data" / "nmnist" / "Train"
SAMPLE = 11


def dense(layer: LayerActivity, steps: int) -> torch.Tensor:
    """Return the values of the neurons that are shown, ``(T, rows)``."""
    found = torch.zeros(steps, len(layer.shown))
    for row, step, value in layer.spikes:
        found[step, row] = value
    return found


def loud(registry: Registry, flat: dict[str, Any], shape: tuple[int, ...], outputs: int) -> Network:
    """Return an untrained network with large weights, so that it spikes."""
    torch.manual_seed(3)
    network = assemble(from_flat(flat, registry), registry, shape, outputs)
    for module in network.modules():
        if isinstance(module, Synapse):
            module.weight.weight.data *= 8
    return network.eval()


@pytest.fixture(scope="module")
def trained(registry: Registry, data: SearchData) -> Judgement:
    """Train a latency code on digits."""
    flat = {"task": "digits", "coding": "latency", "backbone": "mlp", "steps": 8, "training.epochs": 3}
    return judge(flat, registry=registry, data=data)


@pytest.fixture(scope="module")
def found(trained: Judgement, registry: Registry, data: SearchData) -> Activity:
    return activity_of(trained.network, registry.task(trained.candidate), data.validation, sample=SAMPLE)


def test_the_coded_input_is_what_the_coding_makes_of_the_sample(found: Activity, data: SearchData) -> None:
    pixels = data.validation.inputs[SAMPLE].float() / 16
    expected = latency(pixels, steps=8).flatten(1)
    layer = found.layers[0]
    assert (found.sample, found.steps, layer.name, layer.kind, layer.shape) == (SAMPLE, 8, "input", "binary", (1, 8, 8))
    assert layer.shown == tuple(range(64))
    assert torch.equal(dense(layer, 8), expected)
    assert layer.rate == float(expected.sum()) / 512
    assert layer.inputs == pytest.approx(pixels.flatten().tolist(), abs=1e-4)


def test_a_latency_code_spikes_earlier_for_brighter_pixels(found: Activity) -> None:
    layer = found.layers[0]
    first: dict[int, int] = {}
    for row, step, _ in sorted(layer.spikes, key=lambda spike: spike[1]):
        first.setdefault(row, step)
    pairs = [(layer.inputs[row], step) for row, step in first.items()]
    assert len({step for _, step in pairs}) > 3
    assert spearmanr(*zip(*pairs, strict=True)).statistic < -0.9
    assert all(step <= other for value, step in pairs for less, other in pairs if value > less)


def test_what_layers_emit_is_what_their_neurons_do(found: Activity, trained: Judgement, data: SearchData) -> None:
    emitted = []
    hooks = [
        site.neuron.register_forward_hook(lambda module, args, spikes: emitted.append(spikes[:, 0].flatten(1)))
        for site in trained.network.sites
    ]
    with torch.no_grad():
        trained.network(data.validation.inputs[SAMPLE : SAMPLE + 1].float() / 16)
    for hook in hooks:
        hook.remove()
    assert len(emitted) == len(found.layers) - 1 >= 1
    for layer, spikes in zip(found.layers[1:], emitted, strict=True):
        assert torch.equal(dense(layer, 8), spikes[:, list(layer.shown)])


@pytest.mark.parametrize(
    "flat",
    [
        {"coding": "direct", "backbone": "convnet", "steps": 4},
        {"coding": "burst", "backbone": "mlp", "steps": 6},  # counts
        {"coding": "direct", "backbone": "sew-resnet", "neuron": "ternary-lif", "steps": 4},
        {"coding": "rate-conversion", "backbone": "convnet", "steps": 8},
    ],
    ids=lambda flat: flat["coding"] + " " + flat["backbone"],
)
def test_rates_and_names_are_those_of_the_counter(registry: Registry, data: SearchData, flat: dict[str, Any]) -> None:
    network = loud(registry, {"task": "digits", **flat}, (1, 8, 8), 10)
    task = registry.task(from_flat({"task": "digits", **flat}, registry))
    few = Data(data.validation.inputs[:4], data.validation.targets[:4])
    made = activity_of(network, task, few, sample=2)
    expected = count_operations(network, task.prepare(few.inputs[2:3])).layer_rates
    assert {layer.name: layer.rate for layer in made.layers[1:]} == pytest.approx(expected)
    assert list(expected) == [layer.name for layer in made.layers[1:]]
    assert max(expected.values()) > 0


def test_of_many_neurons_128_spread_over_the_layer_are_shown(registry: Registry, data: SearchData) -> None:
    network = loud(registry, {"task": "digits", "coding": "direct", "backbone": "convnet", "steps": 4}, (1, 8, 8), 10)
    layer = activity_of(network, registry.get("task", "digits")(), data.validation).layers[1]
    width = layer.shape[-1]
    parts = [range(part * layer.neurons // 128, (part + 1) * layer.neurons // 128) for part in range(128)]
    assert layer.neurons > 128
    assert all(neuron in part for neuron, part in zip(layer.shown, parts, strict=True))
    assert len({neuron % width for neuron in layer.shown}) == width  # evenly spaced ones are all in the first column


def test_deep_networks_that_spike_often_show_fewer_neurons(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "_SPIKES", 150)
    network = loud(registry, {"task": "digits", "coding": "direct", "backbone": "convnet", "steps": 4}, (1, 8, 8), 10)
    made = activity_of(network, registry.get("task", "digits")(), data.validation)
    assert sum(len(layer.spikes) for layer in made.layers) <= 150
    assert {len(layer.shown) for layer in made.layers} in ({32}, {16}, {64})


def test_the_confusion_matrix_is_that_of_scikit_learn_and_its_trace_the_quality(
    found: Activity, trained: Judgement, data: SearchData
) -> None:
    with torch.no_grad():
        said = trained.network(data.validation.inputs.float() / 16).argmax(1)
    expected = confusion_matrix(data.validation.targets.numpy(), said.numpy(), labels=range(10))
    assert np.array_equal(found.confusion, expected)
    assert np.trace(np.array(found.confusion)) / len(data.validation) == pytest.approx(trained.metrics["quality"])
    assert found.classes == tuple("0123456789")
    assert (found.target, found.output) == (str(int(data.validation.targets[SAMPLE])), str(int(said[SAMPLE])))
    assert found.pairs == ()


def test_classes_have_their_names(trained: Judgement, registry: Registry, data: SearchData) -> None:
    names = tuple(f"digit {number}" for number in range(10))
    made = activity_of(trained.network, registry.task(trained.candidate), data.validation, names, SAMPLE)
    assert made.classes == names
    assert made.target == names[int(data.validation.targets[SAMPLE])]


def test_the_image_is_the_sample(found: Activity, data: SearchData) -> None:
    image = Image.open(io.BytesIO(base64.b64decode(found.image)))
    assert image.size == (8, 8)
    assert np.allclose(np.asarray(image), data.validation.inputs[SAMPLE, 0].numpy() / 16 * 255, atol=0.51)


def test_pairs_of_a_regression_have_the_unit_of_the_data(registry: Registry) -> None:
    flat = {"task": "diabetes", "coding": "direct", "backbone": "mlp", "steps": 4, "training.epochs": 10}
    judged = judge(flat, registry=registry)
    assert judged.data is not None
    made = activity_of(judged.network, registry.task(judged.candidate), judged.data.validation, sample=3)
    outputs, true, said = zip(*made.pairs, strict=True)
    assert len(made.pairs) == len(judged.data.validation) <= 500
    assert set(outputs) == {0}
    assert min(true) >= 25  # the range of the data, which networks see in standard deviations
    assert max(true) <= 346
    assert r2_score(true, said) == pytest.approx(judged.metrics["quality"], abs=2e-3)
    assert (float(made.target), float(made.output)) == pytest.approx((true[3], said[3]))
    assert (made.confusion, made.classes, made.image) == ((), (), "")


def test_of_many_pairs_500_are_chosen_evenly(registry: Registry) -> None:
    class Doubles(Task):
        name = "doubles"
        quality = "error"

        def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return (output - targets).square().mean()

    split = Data(torch.rand(1200, 3), torch.arange(2400).view(1200, 2).float())
    network = loud(registry, {"task": "diabetes", "coding": "direct", "backbone": "mlp", "steps": 2}, (3,), 2)
    made = activity_of(network, Doubles(), split)
    assert len(made.pairs) == 500
    assert [pair[1] for pair in made.pairs[:2]] == [0, 1]  # both outputs of the first sample
    true = [pair[1] for pair in made.pairs if pair[0] == 0]
    assert true == [2 * (at * 1200 // 250) for at in range(250)]


def test_a_constant_input_is_kept_once(registry: Registry, data: SearchData) -> None:
    network = loud(registry, {"task": "digits", "coding": "rate-conversion", "steps": 8}, (1, 8, 8), 10)
    layer = activity_of(network, registry.get("task", "digits")(), data.validation, sample=SAMPLE).layers[0]
    pixels = data.validation.inputs[SAMPLE].flatten() / 16
    assert (layer.constant, layer.kind) == (True, "analog")
    assert [value for _, _, value in layer.spikes] == pytest.approx(pixels[pixels > 0].tolist(), abs=1e-4)


def test_events_are_counted_by_step(registry: Registry) -> None:
    files = sorted(NMNIST.glob("*/*.bin"))[:4]
    recordings = [read_40_bit(file.read_bytes(), file.name) for file in files]
    frames = np.stack([to_frames(events, (34, 34), steps=3, binning="count") for events in recordings])
    split = Data(torch.from_numpy(frames), torch.tensor([0, 1, 1, 2]))
    flat = {"task": "n-mnist", "coding": "direct", "steps": 3, "backbone": "mlp"}
    network = loud(registry, flat, (2, 34, 34), 3)
    made = activity_of(network, registry.task(from_flat(flat, registry)), split, sample=1)
    layer = made.layers[0]
    assert (layer.kind, layer.shape, len(layer.shown), layer.inputs) == ("count", (2, 34, 34), 128, ())
    expected = torch.from_numpy(frames[1]).float().flatten(1)[:, list(layer.shown)]
    assert torch.equal(dense(layer, 3), expected)
    assert layer.rate == pytest.approx(frames[1].sum() / frames[1].size)
    assert Image.open(io.BytesIO(base64.b64decode(made.image))).size == (34, 34)
    assert np.array(made.confusion).sum() == 4


def test_a_network_that_generates_has_neither_matrix_nor_words(registry: Registry) -> None:
    flat = {"task": "digits-generation", "backbone": "fsvae", "coding": "direct", "steps": 3}
    network = loud(registry, flat, (1, 8, 8), 64)
    task = registry.task(from_flat(flat, registry))
    made = activity_of(network, task, task.search_data(None, 3).validation)
    assert (made.confusion, made.pairs, made.target, made.output) == ((), (), "", "")
    assert len(made.layers) > 3
    assert Activity.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False))) == made


def test_random_codes_are_drawn_from_a_fixed_seed_and_move_no_generator(registry: Registry, data: SearchData) -> None:
    network = loud(registry, {"task": "digits", "coding": "rate", "backbone": "mlp", "steps": 4}, (1, 8, 8), 10)
    task = registry.get("task", "digits")()
    before = torch.get_rng_state()
    assert activity_of(network, task, data.validation) == activity_of(network, task, data.validation)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trial_computes_the_outputs_of_the_split_once(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2, "training.epochs": 1}
    model = registry.energy_model("horowitz-45nm")
    judging = Judging(from_flat(flat, registry), registry=registry, data=data, energy_model=model)
    quality = judging.epoch()["quality"]

    def again(*args: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(activity, "split_outputs", again)
    made = judging.activity()
    assert np.trace(np.array(made.confusion)) / len(data.validation) == pytest.approx(quality)
