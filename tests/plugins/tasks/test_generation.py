from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spikefront.plugins import Data, load_registry
from spikefront.plugins.bases.frechet import frechet_distance, load
from spikefront.plugins.bases.generation import ImageGeneration
from spikefront.plugins.tasks.digits import Digits
from spikefront.plugins.tasks.digits_generation import DigitsGeneration
from spikefront.plugins.tasks.fashion_mnist import DEBIAN_FOLDER, FashionMNIST
from spikefront.plugins.tasks.fashion_mnist_generation import FashionMNISTGeneration
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.training import evaluate
from spikefront.searchspace import Space, UsageError, from_flat

REGISTRY = load_registry(third_parties=False)


class Answers:
    """A generator that answers with given logits: to samples with some, to inputs with others."""

    def __init__(self, samples: Tensor, outputs: Tensor) -> None:
        self._samples, self._outputs = samples, outputs

    def __call__(self, x: Tensor) -> Tensor:
        return self._outputs[: len(x)]

    def sample(self, count: int) -> Tensor:
        part, self._samples = self._samples[:count], self._samples[count:]
        return part


def logits(pixels: Tensor) -> Tensor:
    return pixels.flatten(1).logit(1e-6)


def test_images_are_their_own_targets_and_the_splits_those_of_the_source() -> None:
    known, data = Digits().search_data(None, 1), DigitsGeneration().search_data(None, 1)
    for split, labelled in ((data.train, known.train), (data.validation, known.validation)):
        assert torch.equal(split.inputs, labelled.inputs)
        assert torch.equal(split.targets, labelled.inputs)
    assert data.outputs == 64
    assert torch.equal(DigitsGeneration().test_data(None, 1).targets, Digits().test_data(None, 1).inputs)


def test_loss_is_the_mean_squared_error_of_pixels() -> None:
    targets = torch.randint(0, 17, (5, 1, 8, 8), dtype=torch.uint8)
    output = torch.randn(5, 64)
    expected = np.mean((1 / (1 + np.exp(-output.double().numpy())) - targets.flatten(1).double().numpy() / 16) ** 2)
    assert float(DigitsGeneration().loss(output, targets)) == pytest.approx(expected, rel=1e-5)


def test_quality_is_that_of_samples_and_the_error_that_of_reconstructions() -> None:
    task = DigitsGeneration()
    data = task.search_data(None, 1)
    images, others = task.prepare(data.validation.inputs), task.prepare(data.train.inputs[-285:])
    found = task.measure(Answers(logits(others), logits(images)), logits(images), data.validation.targets)
    assert found["quality"] == pytest.approx(frechet_distance(others, images, load(task.features)), rel=1e-3)
    assert found["reconstruction_mse"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "task",
    [DigitsGeneration, pytest.param(FashionMNISTGeneration, marks=pytest.mark.slow)],
    ids=lambda task: task.name,
)
def test_worst_quality_is_that_of_the_mean_image(task: type[ImageGeneration]) -> None:
    try:
        data = task().search_data(None, 1)
    except UsageError as missing:
        pytest.skip(str(missing))
    chance = task().chance_quality(data)
    mean = task().prepare(data.train.inputs).mean(0)
    assert chance == pytest.approx(
        task().score(logits(mean[None]).expand(len(data.validation), -1), data.validation.targets)
    )
    assert chance == pytest.approx(task.worst_quality, rel=0.05)
    torch.manual_seed(0)
    rest = data.train.inputs[torch.randperm(len(data.train))[: len(data.validation)]]
    assert task().score(logits(task().prepare(rest)), data.validation.targets) < chance / 10


def test_picture_shows_samples_then_images_over_their_reconstructions() -> None:
    task = DigitsGeneration()
    inputs = torch.randint(0, 17, (32, 1, 8, 8), dtype=torch.uint8)
    samples, made = torch.rand(32, 1, 8, 8), torch.rand(16, 1, 8, 8)
    picture = task.picture(Answers(logits(samples), logits(made)), Data(inputs, inputs))
    assert picture.shape == (8 * 10 - 2, 8 * 10 - 2)
    assert picture.min() >= 0
    assert picture.max() <= 1
    tiles = {(r, c): picture[10 * r : 10 * r + 8, 10 * c : 10 * c + 8] for r in range(8) for c in range(8)}
    torch.testing.assert_close(tiles[3, 7], samples[31, 0])
    for row, column, number in ((4, 0, 0), (6, 7, 15)):
        torch.testing.assert_close(tiles[row, column], inputs[2 * number, 0] / 16)
        torch.testing.assert_close(tiles[row + 1, column], made[number, 0])
    assert (picture[8:10] == 1).all()


def test_picture_of_coloured_images_has_three_channels_and_room_for_few() -> None:
    class Coloured(Digits):
        name = "coloured"

    class Colours(DigitsGeneration):
        source = Coloured

    inputs = torch.randint(0, 17, (3, 3, 4, 6), dtype=torch.uint8)
    answers = Answers(torch.zeros(32, 72), torch.zeros(16, 72))
    picture = Colours().picture(answers, Data(inputs, inputs))
    assert picture.shape == (3, 6 * 6 - 2, 8 * 8 - 2)


def test_only_backbones_that_make_images_are_offered() -> None:
    rows = {row.name: row for row in Space(REGISTRY, "digits-generation").rows()}
    assert "fsvae" in rows["backbone"].domain
    assert "mlp" not in rows["backbone"].domain
    with pytest.raises(UsageError, match="needs a backbone that makes images, and 'mlp' makes values"):
        judge({"task": "digits-generation", "coding": "direct", "backbone": "mlp"})


@pytest.mark.slow
def test_digits_are_generated_better_than_by_an_untrained_decoder_and_the_mean_image() -> None:
    flat = {
        "task": "digits-generation",
        "coding": "direct",
        "steps": 4,
        "backbone": "fsvae",
        "backbone.fsvae.latents": 32,
        "backbone.fsvae.stages": 2,
        "training.batch": 32,
        "training.epochs": 12,
    }
    task, data = DigitsGeneration(), DigitsGeneration().search_data(None, 4)
    torch.manual_seed(0)
    untrained = evaluate(assemble(from_flat(flat, REGISTRY), REGISTRY, (1, 8, 8), 64), task, data.validation)
    found = judge(flat)
    assert found.metrics["quality"] < min(untrained["quality"], task.chance_quality(data)) / 2
    assert found.metrics["reconstruction_mse"] < untrained["reconstruction_mse"] / 2
    assert [layer.layer for layer in found.counts.layers if "#" in layer.layer] == []  # each layer counted once
    assert found.metrics["sops"] > 50 * found.metrics["macs"] > 0  # analog values enter the first layer only


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["direct", "rate", "sac", "tcja", "gac", "latency", "population"])
def test_codings_generate(coding: str) -> None:
    flat = {"task": "digits-generation", "coding": coding, "steps": 4, "backbone": "fsvae", "training.batch": 32}
    small = {"backbone.fsvae.latents": 16, "backbone.fsvae.stages": 2, "training.epochs": 3}
    found = judge({**flat, **small})
    first, last = found.history[0], found.history[-1]
    assert last["loss"] < first["loss"]
    assert last["quality"] < DigitsGeneration.worst_quality
    assert DigitsGeneration().picture(found.network, DigitsGeneration().test_data(None, 4)).std() > 0.1


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_generation_has_the_splits_of_fashion_mnist(tmp_path: Path) -> None:
    data = FashionMNISTGeneration().search_data(None, 4)
    assert torch.equal(data.validation.targets, FashionMNIST().search_data(None, 4).validation.inputs)
    assert data.outputs == 784
