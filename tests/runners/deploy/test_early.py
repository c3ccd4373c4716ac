"""Exported networks that stop early: cut at a step, or with an exit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nir
import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.description import Description
from spikefront.runners.deploy.export import check_target, export_model
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.deploy.nir import export_nir
from spikefront.runners.deploy.onnx import export_onnx
from spikefront.runners.deploy.torch_file import read_archive, write_archive
from spikefront.runners.judging.exits import confidence
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import UsageError
from spikefront.searchspace.exits import Exit

Trained = Callable[..., tuple[Judgement, Model]]

IN_A_FRESH_PROCESS = """
import sys, torch
torch.set_num_threads(int(sys.argv[3]))
from spikefront.runners.deploy.model import load
model = load(sys.argv[1])
images, logits, predicted, steps = torch.load(sys.argv[2], weights_only=True)
there = model.predict_with_steps(images)
print(model.exit, len(images), len(set(steps.tolist())) > 1)
print(torch.equal(model.logits(images), logits), torch.equal(there[0], predicted), torch.equal(there[1], steps))
"""


def exiting(model: Model, exit: Exit, registry: Registry) -> Model:
    return Model(replace(model.description, exit=str(exit)), model.network.state_dict(), registry)


def test_a_loaded_network_takes_the_same_exits_in_a_fresh_process(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path
) -> None:
    _, model = trained(coding="rate-conversion", backbone="mlp", steps=4)
    images = torch.cat([data.train.inputs, data.validation.inputs])[:1000]
    exit = Exit("max", float(confidence(model.logits(images), "max").median()))
    model = exiting(model, exit, registry)
    predicted, steps = model.predict_with_steps(images)
    torch.save((images, model.logits(images), predicted, steps), tmp_path / "expected.pt")
    export_model(model, tmp_path / "net.pt", "torch", registry=registry, data=data)
    files = [str(tmp_path / "net.pt"), str(tmp_path / "expected.pt"), str(torch.get_num_threads())]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, *files], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == f"{exit} 1000 True\nTrue True True\n", done.stderr
    card = (tmp_path / "net.pt.card.md").read_text()
    assert f"It stops early, sample by sample, at `{exit}`: on the validation split after " in card


def test_predictions_of_an_exit_are_those_at_its_steps(trained: Trained, registry: Registry, data: SearchData) -> None:
    _, whole = trained(coding="direct", backbone="mlp", steps=4)
    images = data.validation.inputs
    model = exiting(whole, Exit("gap", float(confidence(whole.logits(images), "gap").median())), registry)
    predicted, steps = model.predict_with_steps(images)
    assert torch.equal(model.predict(images), predicted)
    for step in steps.unique().tolist():
        with whole.network.cut_at(step % 4):
            assert torch.equal(whole.predict(images)[steps == step], predicted[steps == step])
    assert torch.equal(whole.predict_with_steps(images)[1], torch.full((len(images),), 4))


@pytest.mark.parametrize(
    ("coding", "more"), [("sac", {"coding__sac__scope": "readout"}), ("rate-conversion", {}), ("phase", {})]
)
def test_a_cut_network_is_exported_as_such(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path, coding: str, more: dict[str, object]
) -> None:
    found, model = trained(coding=coding, backbone="mlp", steps=9, cut=8, **more)
    write_archive(tmp_path / "net.pt", model.description.to_json(), found.network.state_dict())
    loaded = load(tmp_path / "net.pt", registry=registry)
    images = data.validation.inputs
    assert loaded.candidate.cut == loaded.network.cut == 8
    assert torch.equal(loaded.logits(images), model.logits(images))
    accuracy = (loaded.predict(images) == data.validation.targets).double().mean()
    assert float(accuracy) == found.metrics["quality"]
    assert set(loaded.predict_with_steps(images)[1].tolist()) == {8}


def test_graphs_of_a_cut_network_are_cut(trained: Trained, data: SearchData, tmp_path: Path) -> None:
    _, model = trained(coding="latency", backbone="mlp", steps=6, cut=3)
    export_nir(model, tmp_path / "net.nir")
    weights = json.loads(nir.read(tmp_path / "net.nir").metadata["decoding"])
    assert weights == pytest.approx([1 / 3] * 3)
    for coding, more in (("latency", {}), ("sac", {"coding__sac__scope": "readout"})):
        _, model = trained(coding=coding, backbone="mlp", steps=6, cut=3, **more)
        found = export_onnx(model, tmp_path / f"{coding}.onnx", data.validation.inputs[:50])
        assert (found.close, found.inputs) == (50, 50)


def test_a_file_without_an_exit_is_what_earlier_versions_wrote(trained: Trained) -> None:
    _, model = trained(coding="direct", backbone="mlp", steps=4)
    plain = json.loads(model.description.to_json())
    assert "exit" not in plain
    assert Description.from_json(json.dumps(plain)).exit == ""
    assert Description.from_json(json.dumps({**plain, "exit": "max:0.5"})).exit == "max:0.5"
    with pytest.raises(ValueError, match="exit is"):
        Description.from_json(json.dumps({**plain, "exit": "best"}))


def test_an_exit_that_can_t_be_is_refused(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"format onnx can't express max:0\.9; export it in format torch"):
        check_target(tmp_path / "net.onnx", "onnx", Exit("max", 0.9))
    _, model = trained(coding="tcja", backbone="mlp", steps=4)
    with pytest.raises(UsageError, match="exits: coding 'tcja', as it is set up, can't be stopped"):
        exiting(model, Exit("max", 0.9), registry)
    text, _ = read_archive(_written(model, tmp_path))
    assert json.loads(text)["candidate"]["coding"] == "tcja"


def _written(model: Model, folder: Path) -> Path:
    write_archive(folder / "net.pt", model.description.to_json(), model.network.state_dict())
    return folder / "net.pt"
