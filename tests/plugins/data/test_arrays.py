from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from spikefront.plugins import Task, array_task, load_registry
from spikefront.plugins.data import arrays
from spikefront.plugins.data.arrays import ArrayTask, r2
from spikefront.plugins.data.samples import checked
from spikefront.plugins.testing import TaskContract
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import Space, UsageError

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(5, [1, 10, 100], (200, 3))
SHAPES = GENERATOR.integers(0, 256, (60, 3, 6, 5), dtype=np.uint8)
VALUES = FEATURES @ [[1.0, 0.0], [-0.1, 1.0], [0.01, 0.0]]

TASKS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "features-classes": lambda: (FEATURES, (FEATURES[:, 0] > 5).astype(np.uint8)),
    "features-values": lambda: (FEATURES.astype(np.float32), VALUES),
    "images-classes": lambda: (SHAPES, np.arange(60) % 3),
    "grey-values": lambda: (SHAPES[:, 0].astype(np.float64), SHAPES.mean((1, 2, 3))),
}


class TestArrayTasks(TaskContract):
    @pytest.fixture(params=TASKS)
    def plugin(self, request: pytest.FixtureRequest) -> type[Task]:
        return array_task(request.param, TASKS[request.param])


def made(name: str) -> type[ArrayTask]:
    return array_task(name, TASKS[name])


@pytest.mark.parametrize(
    ("name", "quality", "layout", "outputs"),
    [
        ("features-classes", "accuracy", "features", 2),
        ("features-values", "r2", "features", 2),
        ("images-classes", "accuracy", "images", 3),
        ("grey-values", "r2", "images", 1),
    ],
)
def test_kind_layout_and_outputs_come_from_the_data(name: str, quality: str, layout: str, outputs: int) -> None:
    task = made(name)

    assert (task.quality, task.layout) == (quality, layout)
    assert task().search_data(None, 4).outputs == outputs


def test_nothing_is_read_before_it_is_needed() -> None:
    def read() -> tuple[object, object]:
        raise AssertionError("read")

    task = array_task("late", read)

    assert task.name == "late"
    with pytest.raises(AssertionError, match="read"):
        task.about()


def test_features_are_scaled_one_by_one_by_the_range_of_the_training_samples() -> None:
    task = made("features-values")()
    train = FEATURES.astype(np.float32)[checked(TASKS["features-values"](), "x").split()[0]]
    low, high = train.min(0), train.max(0)

    prepared = task.prepare(task.search_data(None, 4).train.inputs)
    beyond = task.prepare(torch.from_numpy(np.stack([low - 7, high + 7, (low + high) / 2])))

    np.testing.assert_allclose(prepared, (train - low) / (high - low), atol=1e-6)
    np.testing.assert_allclose(beyond, np.array([[0.0] * 3, [1.0] * 3, [0.5] * 3]), atol=1e-5)


def test_images_of_floats_are_scaled_as_a_whole() -> None:
    task = made("grey-values")()
    low, high = float(task.about().low), float(task.about().high)

    assert (low, high) == (0, 255)  # of 1,140 pixels some are black, some white
    assert task.prepare(torch.full((1, 1, 6, 5), 51.0)).unique().tolist() == [pytest.approx(0.2)]


def test_bytes_are_divided_by_255() -> None:
    assert made("images-classes")().prepare(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == [
        0,
        pytest.approx(0.2),
        1,
    ]


def test_feature_that_never_changes_is_silent() -> None:
    constant = np.concatenate([FEATURES, np.full((200, 1), 3.0)], 1)
    task = array_task("constant", lambda: (constant, FEATURES[:, 0]))()

    assert not task.prepare(task.search_data(None, 4).train.inputs)[:, 3].any()


def test_values_are_standardised_by_the_training_samples() -> None:
    task = made("features-values")()
    train, validation, test = checked(TASKS["features-values"](), "x").split()
    mean, sd = VALUES[train].mean(0), VALUES[train].std(0)

    data = task.search_data(None, 4)

    np.testing.assert_allclose(data.train.targets.mean(0), [0, 0], atol=1e-5)
    np.testing.assert_allclose(data.train.targets.std(0, correction=0), [1, 1], atol=1e-5)
    np.testing.assert_allclose(data.validation.targets, (VALUES[validation] - mean) / sd, atol=1e-4)
    np.testing.assert_allclose(task.test_data(None, 4).targets, (VALUES[test] - mean) / sd, atol=1e-4)


def test_r2_is_that_of_scikit_learn_and_has_no_unit() -> None:
    targets, output = VALUES, VALUES + GENERATOR.normal(0, [1, 20], VALUES.shape)
    expected = r2_score(targets, output)

    assert r2(torch.from_numpy(output), torch.from_numpy(targets)) == pytest.approx(expected)
    assert r2(torch.from_numpy(output * 3 - 8), torch.from_numpy(targets * 3 - 8)) == pytest.approx(expected)
    assert r2(torch.zeros(5, 2), torch.tensor([[0.0, 1.0]]).expand(5, 2)) == 0.5  # constant targets: hit and missed


def test_chance_is_the_mean_of_the_training_values() -> None:
    task = made("features-values")()
    data = task.search_data(None, 4)
    train, validation, _ = checked(TASKS["features-values"](), "x").split()
    expected = r2_score(VALUES[validation], np.tile(VALUES[train].mean(0), (len(validation), 1)))

    assert task.chance_quality(data) == pytest.approx(expected, abs=1e-6)
    assert expected < 0


def test_chance_is_the_share_of_the_largest_class() -> None:
    task = array_task("uneven", lambda: (FEATURES, (np.arange(200) < 50).astype(int)))()

    assert task.chance_quality(task.search_data(None, 4)) == 0.75  # of 40 + 8 and 120 + 24 samples 8 of 32 validate


def test_description_says_what_was_made_of_the_arrays() -> None:
    assert made("features-values").describe() == (
        "features-values: 128 training, 32 validation, 40 test samples; inputs: 3 features, their range in training to "
        "0..1; targets: values 2, in standard deviations; quality: r2"
    )
    assert made("images-classes").describe() == (
        "images-classes: 39 training, 9 validation, 12 test samples; inputs: images (3, 6, 5), bytes / 255; targets: 3 "
        "classes; quality: accuracy"
    )


def test_docstring_shows_real_output() -> None:
    assert doctest.testmod(arrays) == doctest.TestResults(failed=0, attempted=2)


def test_unusable_arrays_are_told_before_a_search() -> None:
    registry = load_registry(third_parties=False)
    task = array_task("short", lambda: (FEATURES, VALUES[:-1]))
    registry.entries["task"]["short"] = registry.entries["task"]["digits"].__class__(task, "here", "1")

    with pytest.raises(UsageError, match=r"^task 'short': 200 inputs but 199 targets$"):
        Space(registry, "short")


FIVE_LINES = """
import numpy as np
from spikefront.plugins import array_task, hookimpl
@hookimpl
def register_tasks(register):
    register(array_task("mine", lambda: (np.load({x!r}), np.load({y!r}))))
"""


@pytest.mark.usefixtures("one_thread")
def test_a_file_of_five_lines_is_learnt_by_a_network(tmp_path: Path) -> None:
    x, y = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
    np.save(x, FEATURES)
    np.save(y, VALUES)
    (tmp_path / "mine.py").write_text(FIVE_LINES.format(x=x, y=y))
    registry = load_registry([tmp_path], third_parties=False)
    names = {"task": "mine", "coding": "direct", "backbone": "mlp", "steps": 4}

    found = judge({**names, "training.epochs": 40, "training.batch": 16}, registry=registry)

    assert registry.problems == {}
    assert len(FIVE_LINES.strip().splitlines()) == 5
    assert found.metrics["quality"] > 0.8  # targets are linear in the inputs
