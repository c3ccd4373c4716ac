from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model
from spikefront.runners.judging.judge import Judgement

Trained = Callable[..., tuple[Judgement, Model]]


def test_file_has_the_names_of_the_harness_and_where_they_are_defined(
    trained: Trained, data: SearchData, registry: Registry, tmp_path: Path
) -> None:
    judged, model = trained(backbone="convnet", training__epochs=1)

    export_model(model, tmp_path / "net.json", "neurobench", registry=registry, data=data)

    written = json.loads((tmp_path / "net.json").read_text())
    results = written["results"]
    assert list(results) == [
        "ClassificationAccuracy",
        "Footprint",
        "ConnectionSparsity",
        "ActivationSparsity",
        "SynapticOperations",
        "MembraneUpdates",
    ]
    assert results["ClassificationAccuracy"] == pytest.approx(judged.metrics["quality"])
    assert results["ActivationSparsity"] == pytest.approx(1 - judged.counts.spike_rate)
    operations = results["SynapticOperations"]
    assert operations["Effective_ACs"] == pytest.approx(judged.counts.sops)  # of max pooling, which leaves spikes
    assert operations["Effective_MACs"] == pytest.approx(judged.counts.macs_every_step)
    assert operations["Effective_ACs"] + operations["Effective_MACs"] < operations["Dense"]
    neurons = sum(layer.sites for layer in judged.counts.layers if layer.role == "neuron") / judged.counts.samples
    assert 0 < results["MembraneUpdates"] <= neurons
    assert written["definitions"]["code"] == "neurobench 2.3.0"
    assert written["candidate"]["backbone"] == "convnet"
    card = (tmp_path / "net.json.card.md").read_text()
    assert "its harness did not run" in card
    assert 'json.load(open("net.json"))["results"]' in card


def test_unknown_updates_are_null_with_the_reason(
    trained: Trained, data: SearchData, registry: Registry, tmp_path: Path
) -> None:
    _, model = trained(backbone="mlp", neuron="alif", training__epochs=1)

    export_model(model, tmp_path / "net.json", "neurobench", registry=registry, data=data)

    written = json.loads((tmp_path / "net.json").read_text())
    assert written["results"]["MembraneUpdates"] is None
    assert "neuron alif does not state the potential" in written["remarks"][1]
