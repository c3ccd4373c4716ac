from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import spikefront
from spikefront.plugins import array_task, load_registry
from spikefront.plugins.entry import Entry


def test_a_network_on_own_sequences_is_exported_and_read_where_they_are_not(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    x, y = draws.normal(3, 2, size=(90, 6, 2)), np.arange(90) % 3
    registry = load_registry(third_parties=False)
    task = array_task("waves", lambda: (x, y), sequences=True)
    with_waves = {**registry.entries["task"], "waves": Entry(task, "here", "test")}
    registry = replace(registry, entries={**registry.entries, "task": with_waves})
    flat = {"task": "waves", "coding": "direct", "neuron": "lif", "backbone": "recurrent", "training.epochs": 1}

    judged = spikefront.judge(flat, registry=registry)
    spikefront.export(judged, tmp_path / "waves.pt", format="torch")
    model = spikefront.load(tmp_path / "waves.pt")

    given = torch.from_numpy(x[:20].astype(np.float32))
    with torch.no_grad():
        expected = judged.network.eval()(task().prepare(given))
    torch.testing.assert_close(torch.as_tensor(model.logits(given)), expected)
    assert model.description.candidate["steps"] == 6
