from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import spikefront
from spikefront.plugins import array_task, load_registry
from spikefront.plugins.data.arrays import ArrayTask
from spikefront.plugins.entry import Entry
from spikefront.runners.judging.judge import Judgement


def judged_on_waves(neuron: str, backbone: str) -> tuple[Judgement, ArrayTask]:
    draws = np.random.default_rng(0)
    x, y = draws.normal(3, 2, size=(90, 6, 2)), np.arange(90) % 3
    registry = load_registry(third_parties=False)
    task = array_task("waves", lambda: (x, y), sequences=True)
    with_waves = {**registry.entries["task"], "waves": Entry(task, "here", "test")}
    registry = replace(registry, entries={**registry.entries, "task": with_waves})
    flat = {"task": "waves", "coding": "direct", "neuron": neuron, "backbone": backbone, "training.epochs": 1}
    return spikefront.judge(flat, registry=registry), task()


@pytest.mark.parametrize(("neuron", "backbone"), [("lif", "recurrent"), ("sigma-delta", "mlp")])
def test_a_network_on_own_sequences_is_exported_and_read_where_they_are_not(
    tmp_path: Path, neuron: str, backbone: str
) -> None:
    judged, task = judged_on_waves(neuron, backbone)
    spikefront.export(judged, tmp_path / "waves.pt", format="torch")
    model = spikefront.load(tmp_path / "waves.pt")

    given = torch.from_numpy(np.random.default_rng(0).normal(3, 2, size=(20, 6, 2)).astype(np.float32))
    with torch.no_grad():
        expected = judged.network.eval()(task.prepare(given))
    torch.testing.assert_close(torch.as_tensor(model.logits(given)), expected)
    assert model.description.candidate["steps"] == 6


@pytest.mark.slow
def test_changes_that_a_network_sends_are_summed_in_a_graph_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    judged, _ = judged_on_waves("sigma-delta", "mlp")
    spikefront.export(judged, tmp_path / "waves.onnx", format="onnx")  # which runs the graph and compares
    card = (tmp_path / "waves.onnx.card.md").read_text()
    assert "ONNX Runtime gave the network's outputs on" in card
