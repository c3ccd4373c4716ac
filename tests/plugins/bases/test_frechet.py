from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from spikefront.plugins import Task
from spikefront.plugins.bases.frechet import feature_distance, frechet_distance, load, save, trained
from spikefront.plugins.bases.generation import ImageGeneration
from spikefront.plugins.tasks.digits import Digits
from spikefront.plugins.tasks.digits_generation import DigitsGeneration
from spikefront.plugins.tasks.fashion_mnist_generation import FashionMNISTGeneration
from spikefront.searchspace import UsageError


@pytest.mark.parametrize("samples", [40, 5], ids=["full rank", "fewer samples than features"])
def test_distance_is_that_of_scipys_matrix_square_root(samples: int) -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=(samples, 8)) @ generator.normal(size=(8, 8))
    b = generator.normal(size=(30, 8)) @ generator.normal(size=(8, 8)) + 1
    root = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert feature_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-5)


def test_distance_of_independent_features_adds_up_over_them() -> None:
    # standard deviations 1 and 3, then 2 and 2; means 0 and 4: (1 - 3)^2 + 0 + 4^2
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * (3 / 4) ** 0.5  # of unbiased variance 1
    one, other = signs * torch.tensor([1.0, 2]), signs * torch.tensor([3.0, 2]) + torch.tensor([0.0, 4])
    assert feature_distance(one, other) == pytest.approx(4 + 16)
    assert feature_distance(one, one) == pytest.approx(0, abs=1e-6)


def test_training_ends_at_the_same_weights_and_leaves_the_random_state_alone() -> None:
    images, labels = torch.rand(20, 1, 8, 8), torch.arange(20) % 3
    before = torch.get_rng_state()
    one, other = (trained(images, labels, epochs=2).state_dict() for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_saved_network_sees_what_the_trained_one_sees(tmp_path: Path) -> None:
    images = torch.rand(30, 3, 12, 12)
    network = trained(images, torch.arange(30) % 4, epochs=1)
    save(network, tmp_path / "features.npz")
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path / "features.npz")(images), network(images), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("task", "accuracy"), [(DigitsGeneration, 0.95), (FashionMNISTGeneration, 0.83)], ids=lambda value: str(value)[-20:]
)
def test_shipped_classifier_knows_its_images(task: type[ImageGeneration], accuracy: float) -> None:
    source: Task = task.source()
    try:
        validation = source.search_data(None, 1).validation
    except UsageError as missing:
        pytest.skip(str(missing))
    logits = load(task.features)(source.prepare(validation.inputs))
    assert source.score(logits, validation.targets) > accuracy
    assert task.features.stat().st_size < 100_000


def test_distance_grows_with_the_damage_and_sees_missing_kinds() -> None:
    validation = Digits().search_data(None, 1).validation
    images, network = Digits().prepare(validation.inputs), load(DigitsGeneration.features)
    torch.manual_seed(0)
    damage = torch.randn_like(images)
    distances = [
        frechet_distance((images + scale * damage).clamp(0, 1), images, network) for scale in (0, 0.1, 0.2, 0.4)
    ]
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert sorted(distances) == distances
    ones = images[validation.targets == 1]
    assert frechet_distance(ones, images, network) > distances[1]
