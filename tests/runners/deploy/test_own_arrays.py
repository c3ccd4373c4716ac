"""Networks on own arrays in use, where neither the arrays nor the plugin that reads them is there any more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikefront.plugins import Registry, SearchData, array_task, load_registry
from spikefront.plugins.registry import Entry
from spikefront.runners.deploy.description import Description, describe
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import UsageError

BASE = np.random.default_rng(0).uniform(0, 1, (120, 2))
NAMES = np.where(BASE[:, 0] > 0.5, "wasp", "bee")
TIMES = BASE * 60 + 1.7e9

Exported = Callable[[str], tuple[Path, Model, SearchData]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder, made = tmp_path_factory.mktemp("own"), {}
    targets: Mapping[str, Any] = {"names": NAMES, "values": BASE[:, 0] + 1e9}

    def make(kind: str) -> tuple[Path, Model, SearchData]:
        if kind not in made:
            registry = load_registry(third_parties=False)
            task = array_task("own", lambda: (TIMES, targets[kind]))
            registry.entries["task"]["own"] = Entry(task, "here", "1")
            data = task().search_data(None, 4)
            flat = {"task": "own", "coding": "direct", "backbone": "mlp", "training.epochs": 30, "training.batch": 8}
            found = judge(flat, registry=registry, data=data)
            model = Model(
                describe(found.candidate, data, registry, metrics=found.metrics), found.network.state_dict(), registry
            )
            export_model(model, folder / f"{kind}.pt", "torch", registry=registry, data=data)
            made[kind] = folder / f"{kind}.pt", model, data
        return made[kind]

    return make


def test_classes_are_named_without_data_and_plugin(exported: Exported, registry: Registry) -> None:
    path, model, data = exported("names")

    again = load(path, registry=registry)

    assert "own" not in registry.entries["task"]
    assert again.class_names == ("bee", "wasp")
    assert torch.equal(again.logits(TIMES), model.logits(TIMES))
    found = again.predict_names(TIMES)
    assert np.mean(np.array(found) == NAMES) > 0.8
    assert found == [again.class_names[number] for number in again.predict(TIMES)]
    assert again.predict_names(TIMES[:3].tolist()) == found[:3]  # Python's floats are float64
    validation = again.predict(data.validation.inputs) == data.validation.targets
    assert float(validation.double().mean()) == model.metrics["quality"]


def test_the_example_in_the_documentation_predicts(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / "docs/export.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "predict_names" in code)
    (tmp_path / "net.pt").symlink_to(exported("names")[0])
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}

    exec(block, scope)

    assert len(scope["names"]) == 2
    assert set(scope["names"]) <= {"bee", "wasp"}


def test_a_card_names_the_classes(exported: Exported) -> None:
    card = exported("names")[0].with_name("names.pt.card.md").read_text(encoding="utf-8")

    assert "Outputs: 2 classes. Names of the classes, from class 0: bee, wasp." in card
    assert "names = model.predict_names(features)" in card


def test_values_far_from_0_come_in_their_unit_without_the_data(exported: Exported, registry: Registry) -> None:
    path, model, _ = exported("values")

    again = load(path, registry=registry)

    values = again.predict(TIMES)[:, 0] - 1e9
    assert torch.equal(again.predict(TIMES), model.predict(TIMES))
    assert np.corrcoef(values, BASE[:, 0])[0, 1] > 0.8
    assert float((values - torch.from_numpy(BASE[:, 0])).abs().mean()) < 0.2
    with pytest.raises(UsageError, match=r"^task 'own' has no classes; use predict"):
        again.predict_names(TIMES)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (TIMES.astype(np.float32), "inputs of dtype float32: at their size it has steps of .* give float64$"),
        (np.where(TIMES[5] == TIMES, np.nan, TIMES), "NaN or infinite, the first in sample 5$"),
        (TIMES[:, :1], r"shape \(120, 1\): task 'own' has \(N, 2\)"),
        (np.full((2, 2), 2**60), "inputs of dtype int64: task 'own' has float64"),
    ],
)
def test_inputs_that_the_arrays_did_not_have_are_refused(
    exported: Exported, registry: Registry, inputs: Any, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        load(exported("names")[0], registry=registry).predict(inputs)


def test_whole_numbers_and_narrow_floats_that_mean_the_same_are_taken(exported: Exported, registry: Registry) -> None:
    model = load(exported("names")[0], registry=registry)
    whole = TIMES.astype(np.int64)
    far = torch.zeros(2, 2)  # below all that was learnt, in any dtype

    assert torch.equal(model.logits(whole), model.logits(whole.astype(float)))
    assert torch.equal(model.logits(far), model.logits(far.double()))


@pytest.mark.parametrize(
    "constants",
    [
        {},
        {"low": [0.0] * 3, "high": [1.0] * 3, "mean": [], "sd": []},
        {"low": [0.0], "high": [1.0], "mean": [0.0] * 3, "sd": [1.0] * 3},
        {"low": [], "high": [], "mean": [], "sd": []},
        {"up": [1.0]},
    ],
)
def test_constants_of_other_sizes_are_refused(
    exported: Exported, registry: Registry, constants: dict[str, list[float]]
) -> None:
    _, model, _ = exported("names")
    description = replace(model.description, constants=constants)
    with pytest.raises(UsageError, match=r"constants of its data don't fit task 'own'|task 'own' .* is missing"):
        Model(description, model.network.state_dict(), registry)


@pytest.mark.parametrize(
    ("field", "value"),
    [("class_names", ["a"]), ("class_names", ["a", "a"]), ("constants", {"low": 1.0}), ("arrays", 1)],
)
def test_descriptions_that_no_export_writes_are_refused(exported: Exported, field: str, value: object) -> None:
    fields = {**json.loads(exported("names")[1].description.to_json()), field: value}

    with pytest.raises(ValueError, match=f"{field} is|names 1 classes"):
        Description.from_json(json.dumps(fields))


def test_a_network_of_an_earlier_version_reads_its_data(exported: Exported) -> None:
    _, model, _ = exported("names")
    fields = json.loads(model.description.to_json())
    for name in ("class_names", "constants", "arrays"):
        del fields[name]

    description = Description.from_json(json.dumps(fields))

    assert (description.class_names, description.constants, description.arrays) == ((), None, False)


@pytest.mark.parametrize(("format", "package"), [("nir", "nir"), ("onnx", "onnxruntime")])
@pytest.mark.slow
def test_graphs_of_values_far_from_0(
    exported: Exported, registry: Registry, tmp_path: Path, format: str, package: str
) -> None:
    runtime = pytest.importorskip(package)
    _, model, data = exported("values")
    tasks = load_registry(third_parties=False)
    tasks.entries["task"]["own"] = Entry(type(model._task), "here", "1")

    export_model(model, tmp_path / "net", format, registry=tasks, data=data)

    card = (tmp_path / "net.card.md").read_text(encoding="utf-8")
    if format == "onnx":
        (found,) = runtime.InferenceSession(tmp_path / "net").run(None, {"inputs": TIMES})
        np.testing.assert_allclose(found - 1e9, model.predict(TIMES) - 1e9, atol=1e-4)
        assert "largest difference of an output" in card
    else:
        assert "(x - low) / (high - low)" in card
        mean = float(model.in_units(torch.zeros(1, 1, dtype=torch.float64)))
        assert float(card.partition(" x + ")[2].partition(".\n")[0]) == pytest.approx(mean, abs=1e-5)
