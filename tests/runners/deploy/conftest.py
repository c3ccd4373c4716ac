from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.description import describe
from spikefront.runners.deploy.model import Model
from spikefront.runners.judging.judge import Judgement, judge

Trained = Callable[..., tuple[Judgement, Model]]
Found = tuple[Judgement, Model, SearchData]

NMNIST = Path(__file__).parents[2] / "data/nmnist"

CANDIDATES: dict[str, dict[str, Any]] = {
    "events": {"task": "n-mnist", "backbone": "mlp", "steps": 3, "training.epochs": 4},
    "motion": {
        "task": "n-mnist-motion",
        "coding": "sac",
        "coding.sac.scope": "readout",
        "coding.sac.init": "geometric",
        "backbone": "convnet",
        "backbone.convnet.pool": "avg",
        "neuron.lif.threshold": 0.3,
        "steps": 3,
    },
    "delta": {"task": "n-mnist", "coding": "delta", "backbone": "mlp", "neuron": "if", "neuron.if.threshold": 0.3},
    "values": {"task": "diabetes", "backbone": "mlp", "training.epochs": 10, "steps": 2},
    "generation": {
        "task": "digits-generation",
        "backbone": "fsvae",
        "backbone.fsvae.width": 8,
        "backbone.fsvae.latents": 16,
        "backbone.fsvae.stages": 2,
        "training.subset": 200,
        "steps": 3,
    },
    "photos": {"task": "image-folder", "backbone": "mlp", "task.image-folder.size": 12, "steps": 2},
}


@pytest.fixture(scope="session")
def trained(registry: Registry, data: SearchData) -> Trained:
    """Train a small network on digits, and make a model of it; each candidate once."""
    made: dict[str, tuple[Judgement, Model]] = {}

    def make(**more: object) -> tuple[Judgement, Model]:
        flat = {name.replace("__", "."): value for name, value in more.items()}
        key = str(sorted(flat.items()))
        if key not in made:
            quick = {"task": "digits", "coding": "direct", "training.epochs": 2, "training.subset": 300}
            found = judge({**quick, **flat}, registry=registry, data=data)
            description = describe(found.candidate, data, registry, metrics=found.metrics)
            made[key] = found, Model(description, found.network.state_dict(), registry)
        return made[key]

    return make


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images of two classes, of several sizes."""
    folder, draws = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for place, name in enumerate(("cat", "dog")):
        (folder / name).mkdir()
        for number in range(12):
            image = draws.integers(0, 80, (20 + number, 31, 3), dtype=np.uint8)
            image[..., place] += 150
            Image.fromarray(image).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def found(registry: Registry, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Found]:
    """Train a small network of a kind of task, each once."""
    made: dict[str, Found] = {}
    cache = tmp_path_factory.mktemp("cache")

    def make(kind: str) -> Found:
        if kind not in made:
            flat = {"coding": "direct", "training.epochs": 1, "training.batch": 8, **CANDIDATES[kind]}
            folder = photos if kind == "photos" else NMNIST
            task = registry.get("task", flat["task"])
            config = task.Config(size=12) if kind == "photos" else None
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("XDG_CACHE_HOME", str(cache))
                data = task(config).search_data(folder, flat.get("steps", 4))
            judged = judge(flat, registry=registry, data=data)
            description = describe(judged.candidate, data, registry, metrics=judged.metrics)
            made[kind] = judged, Model(description, judged.network.state_dict(), registry), data
        return made[kind]

    return make
