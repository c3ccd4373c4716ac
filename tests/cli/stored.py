"""A search of six trials as a store has it, written without training."""

from __future__ import annotations

from pathlib import Path

import torch

from spikefront.plugins import load_registry
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import ENERGY, Objective, SearchInfo, Value, from_flat

QUICK = {"training.epochs": 1, "training.subset": 64}
QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)

TRIALS = [  # coding, steps, quality, energy in nJ: 0, 2, 4 and 5 are the front, 4 its knee; trial 3 is behind 2
    ("direct", 2, 0.10, 1.0),
    ("direct", 4, 0.70, 200.0),
    ("latency", 4, 0.80, 100.0),
    ("rate", 8, 0.75, 150.0),
    ("rate", 6, 0.70, 10.0),
    ("rate", 3, 0.95, 1e4),
]


def keep_search(path: Path, judged: Judgement) -> None:
    """Write a search of ``TRIALS`` into MLflow; the network that it keeps of trial 2 really is that candidate's."""
    path.mkdir()
    torch.save(judged.network.state_dict(), path / "trial-00002.pt")
    registry = load_registry(third_parties=False)
    store = MlflowRecorder(Store("sqlite:///mlflow.db"))
    options: dict[str, Value] = {"seed": "7"}
    axes, versions = (QUALITY, ENERGY), registry.versions()
    store.search_started(SearchInfo(path.name, "digits", "accuracy", axes, path, 6, None, options, versions))
    for number, (coding, steps, quality, energy) in enumerate(TRIALS):
        flat = {"task": "digits", "backbone": "mlp", "coding": coding, "steps": steps, **QUICK}
        store.trial_started(number, from_flat(flat, registry))
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": float(steps)}
        if path.name != "running":
            weights = path / "trial-00002.pt"
            store.trial_ended(number, "COMPLETE", "", metrics, weights if number in (2, 5) else None)
    if path.name != "running":
        store.search_ended("all trials done")
    else:
        store._writer.close()  # what a driver that died leaves
