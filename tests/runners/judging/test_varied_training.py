"""Training on varied images, and on images that are mapped into memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spikefront.plugins import Registry, SearchData, Task
from spikefront.plugins.tasks.image_folder import ImageFolder
from spikefront.runners.judging.judge import Judging, judge
from spikefront.searchspace import UsageError, from_flat
from spikefront.searchspace.objectives import OF_THE_MACHINE

QUICK = {
    "task": "digits",
    "coding": "direct",
    "backbone": "convnet",
    "backbone.convnet.width": 4,
    "steps": 2,
    "training.epochs": 3,
    "training.subset": 256,
}
VARIED = {
    "training.flip": True,
    "training.crop": 1,
    "training.cutout": 2,
    "training.mix": "cutmix",
    "training.mix_probability": 0.5,
}


def start(registry: Registry, data: SearchData, **more: object) -> Judging:
    candidate = from_flat({**QUICK, **VARIED, **more}, registry)
    return Judging(candidate, registry=registry, data=data, energy_model=registry.get("energy", "horowitz-45nm")())


def numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in OF_THE_MACHINE}


def test_restored_training_draws_what_it_would_have_drawn(registry: Registry, data: SearchData) -> None:
    whole = start(registry, data)
    expected = [numbers(whole.epoch()) for _ in range(3)]
    first = start(registry, data)
    assert numbers(first.epoch()) == expected[0]
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = start(registry, data)
    second.restore(torch.load(file, weights_only=True))
    assert [numbers(second.epoch()) for _ in range(2)] == expected[1:]


@pytest.mark.parametrize(
    "varied",
    [
        {"training.flip": True},
        {"training.crop": 1},
        {"training.cutout": 2},
        {"training.mix": "mixup"},
        {"training.mix": "cutmix"},
    ],
    ids=str,
)
def test_each_variation_reaches_training(registry: Registry, data: SearchData, varied: dict[str, object]) -> None:
    plain = judge({**QUICK, "training.epochs": 1}, registry=registry, data=data)
    other = judge({**QUICK, "training.epochs": 1, **varied}, registry=registry, data=data)
    assert plain.metrics["loss"] != other.metrics["loss"]


def test_misfit_is_refused_before_training(registry: Registry, data: SearchData) -> None:
    with pytest.raises(UsageError, match=r"^training\.cutout=9: more than the 8x8 of an image$"):
        start(registry, data, **{"training.cutout": 9})


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_classes_are_learnt_from_mixtures(registry: Registry, data: SearchData, mix: str) -> None:
    # every batch is of mixtures: with the partners of others, or the shares swapped, there would be little to learn
    flat = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2, "training.epochs": 6}
    flat |= {"training.mix": mix, "training.mix_probability": 1.0}
    assert judge(flat, registry=registry, data=data).metrics["quality"] > 0.8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of noise: dark images and bright ones."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name, low in (("bright", 128), ("dark", 0)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(60):
            image = Image.fromarray(generator.integers(low, low + 128, (9, 12, 3), dtype=np.uint8))
            image.save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


class InMemory(ImageFolder):
    """The same images, read into memory."""

    name = "in-memory"
    mapped = False


def test_mapped_images_train_as_those_in_memory_do(folder: Path, plugins_with: Callable[..., Registry]) -> None:
    registry = plugins_with(InMemory)
    flat: dict[str, Any] = {**QUICK, "training.batch": 16, "training.flip": True, "training.epochs": 10}
    found = {}
    for task in ("image-folder", "in-memory"):
        candidate = {**flat, "task": task, f"task.{task}.size": 8}
        found[task] = judge(candidate, registry=registry, data_dir=folder).history
    one, other = ([numbers(epoch) for epoch in history] for history in found.values())
    assert one == other
    assert one[-1]["quality"] > 0.9
    assert one[-1]["balanced_accuracy"] == pytest.approx(one[-1]["quality"])  # as many of one as of the other


@pytest.fixture
def plugins_with(registry: Registry) -> Callable[..., Registry]:
    def make(*tasks: type[Task]) -> Registry:
        entries = {kind: dict(names) for kind, names in registry.entries.items()}
        like = entries["task"]["digits"]
        for task in tasks:
            entries["task"][task.name] = type(like)(task, like.origin, like.version)
        return Registry(entries)

    return make
