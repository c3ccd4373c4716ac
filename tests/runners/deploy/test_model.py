from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.runners.deploy.description import Description, describe
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.deploy.torch_file import read_archive, write_archive
from spikefront.runners.judging.judge import Judgement, judge
from spikefront.runners.judging.training import prepared
from spikefront.searchspace import UsageError

Trained = Callable[..., tuple[Judgement, Model]]

CODINGS = sorted(
    name
    for name, entry in load_registry(third_parties=False).entries["coding"].items()
    if "static" in entry.plugin.inputs
)

IN_A_FRESH_PROCESS = """
import sys, torch, spikefront
from spikefront.runners.deploy.model import load
model = load(sys.argv[1])
images, logits = torch.load(sys.argv[2], weights_only=True)
print(torch.equal(model.logits(images), logits))
"""


def write(model: Model, path: Path) -> Path:
    write_archive(path, model.description.to_json(), model.network.state_dict())
    return path


@pytest.mark.parametrize("coding", CODINGS)
def test_loaded_network_of_each_coding_gives_the_trained_network_s_bits_and_quality(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path, coding: str
) -> None:
    found, model = trained(coding=coding, backbone="mlp", training__epochs=1)
    images = data.validation.inputs

    again = load(write(model, tmp_path / "net.pt"), registry=registry)

    state = again.network.state_dict()
    for name, tensor in found.network.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert torch.equal(again.logits(images), model.logits(images))
    if coding not in ("rate", "snntorch-rate"):  # whose spikes are drawn anew
        with torch.no_grad():
            direct = found.network.eval()(prepared(again._task, images))
        assert torch.equal(again.logits(images), direct)
    hits = again.predict(images) == data.validation.targets
    assert float(hits.double().mean()) == found.metrics["quality"] == again.metrics["quality"]
    assert again.candidate == found.candidate


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param({"coding": "direct", "backbone": "convnet"}, marks=pytest.mark.slow),
        {"coding": "css", "backbone": "convnet"},
        {"coding": "rate-conversion", "backbone": "mlp"},
        {"coding": "ttfs-conversion", "backbone": "convnet"},
        pytest.param({"coding": "rate", "backbone": "mlp"}, marks=pytest.mark.slow),
    ],
    ids=lambda flat: flat["coding"],
)
def test_fresh_process_gives_bit_equal_logits(
    trained: Trained, data: SearchData, tmp_path: Path, candidate: dict[str, Any]
) -> None:
    if candidate["coding"] == "css":
        candidate = {**candidate, "backbone__convnet__pool": "avg"}
    _, model = trained(**candidate)
    images = data.validation.inputs[:100]
    torch.save((images, model.logits(images)), tmp_path / "expected.pt")
    files = [str(write(model, tmp_path / "net.pt")), str(tmp_path / "expected.pt")]

    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, *files], capture_output=True, text=True, timeout=120
    )

    assert done.stdout == "True\n", done.stderr


def test_loading_and_using_leaves_the_random_generator_alone(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path
) -> None:
    _, model = trained(coding="rate", backbone="mlp", training__epochs=1)
    path = write(model, tmp_path / "net.pt")
    before = torch.get_rng_state()

    first = load(path, registry=registry).logits(data.validation.inputs)
    second = load(path, registry=registry).logits(data.validation.inputs)

    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)


def test_numpy_arrays_and_other_whole_numbers_are_taken(trained: Trained, data: SearchData) -> None:
    _, model = trained(backbone="mlp")
    images = data.validation.inputs[:20]
    expected = model.predict(images)

    assert expected.shape == (20,)
    assert not expected.is_floating_point()
    assert torch.equal(model.predict(images.numpy()), expected)
    assert torch.equal(model.predict(images.numpy().astype(np.int64)), expected)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"has \(N, 1, 8, 8\), N at least 1; one input needs a leading axis"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), r"shape \(2, 1, 28, 28\): task 'digits' has \(N, 1, 8, 8\)"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), "N at least 1"),
        (torch.zeros(2, 1, 8, 8), "dtype float32: task 'digits' has uint8"),
        (torch.full((2, 1, 8, 8), 300), "dtype int64: task 'digits' has uint8"),
        (torch.full((2, 1, 8, 8), 255, dtype=torch.uint8), "reach from 15.9375 to 15.9375, and must be within 0 and 1"),
    ],
)
def test_inputs_that_the_task_does_not_have_are_refused(trained: Trained, images: torch.Tensor, reason: str) -> None:
    _, model = trained(backbone="mlp")

    with pytest.raises(UsageError, match=reason):
        model.predict(images)


def test_plugin_that_is_missing_is_named(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    _, model = trained(backbone="mlp")
    model = _described(model, plugins={**model.description.plugins, "coding.morse": "1.2"})

    with pytest.raises(UsageError, match=r"net.pt: coding 'morse' 1.2 is missing here: install it, or give the folder"):
        load(write(model, tmp_path / "net.pt"), registry=registry)


def test_network_with_a_plugin_from_a_folder_needs_that_folder(data: SearchData, tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "examples/plugins"
    plugins = load_registry([folder], third_parties=False)
    found = judge(
        {"task": "digits", "coding": "step-forward", "backbone": "mlp", "training.epochs": 1}, registry=plugins
    )
    description = describe(found.candidate, data, plugins, metrics=found.metrics)
    path = write(Model(description, found.network.state_dict(), plugins), tmp_path / "net.pt")

    with pytest.raises(UsageError, match=r"coding 'step-forward' sha256:[0-9a-f]{12} is missing here"):
        load(path)
    for folders in (folder, str(folder), [folder], (str(folder),)):
        hits = load(path, plugins_dir=folders).predict(data.validation.inputs) == data.validation.targets
        assert float(hits.double().mean()) == found.metrics["quality"]
    with pytest.warns(DeprecationWarning, match=r"load\(plugins_dir=...\)$"):
        load(path, plugin_dirs=[folder])


def test_plugin_of_another_version_is_a_warning(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    _, model = trained(backbone="mlp")
    here = registry.versions()["neuron.lif"]
    model = _described(model, plugins={**model.description.plugins, "neuron.lif": "0.0.1"})

    with pytest.warns(UserWarning, match=rf"other versions of its plugins.*neuron.lif {here} \(was 0.0.1\)$"):
        load(write(model, tmp_path / "net.pt"), registry=registry)


def test_weights_that_do_not_fit_are_an_error_that_names_changed_plugins(
    trained: Trained, registry: Registry, tmp_path: Path
) -> None:
    _, model = trained(backbone="mlp")
    model = _described(model, plugins={**model.description.plugins, "backbone.mlp": "0.0.1"})
    state = {name: tensor for name, tensor in model.network.state_dict().items() if "weight.weight" not in name}
    write_archive(tmp_path / "net.pt", model.description.to_json(), state)

    with pytest.warns(UserWarning, match="other versions"), pytest.raises(UsageError) as refused:
        load(tmp_path / "net.pt", registry=registry)

    assert "weights don't fit the network that plugins build here" in str(refused.value)
    assert "backbone.layers.1.weight.weight" in str(refused.value)
    assert "of other versions: backbone.mlp" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outputs": None}, "must have exactly"),
        ({"surprise": 1}, "must have exactly"),
        ({"input_dtype": "load"}, "'load' is not a dtype"),
        ({"origin": {"search": "s", "planet": "Mars"}}, "planet"),
    ],
)
def test_description_that_is_not_one_is_refused(
    trained: Trained, registry: Registry, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    _, model = trained(backbone="mlp")
    fields = {**json.loads(model.description.to_json()), **change}
    text = json.dumps({name: value for name, value in fields.items() if value is not None or name != "outputs"})
    write_archive(tmp_path / "net.pt", text, model.network.state_dict())

    with pytest.raises(UsageError, match=f"net.pt has a description that this spikefront can't read: .*{reason}"):
        load(tmp_path / "net.pt", registry=registry)


def test_description_survives_the_file(trained: Trained, data: SearchData, tmp_path: Path) -> None:
    _, model = trained(backbone="mlp")

    text, _ = read_archive(write(model, tmp_path / "net.pt"))

    assert Description.from_json(text) == model.description
    assert model.description.input_shape == model.description.network_shape == (1, 8, 8)
    assert model.description.samples == {"train": len(data.train), "validation": len(data.validation)}
    assert model.description.classes


def test_values_are_returned_where_targets_are_no_classes(
    trained: Trained, registry: Registry, data: SearchData
) -> None:
    _, model = trained(backbone="mlp")
    model = _described(model, classes=False)

    assert torch.equal(model.predict(data.validation.inputs), model.logits(data.validation.inputs))


def _described(model: Model, **changes: Any) -> Model:
    """Return the same model under another description."""
    copy = object.__new__(Model)
    copy.__dict__.update(model.__dict__, description=replace(model.description, **changes))
    return copy
