"""The contract tests of tasks catch each of these faults, with a message that names what is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task
from spikefront.plugins.testing import TaskContract


class Clouds(Task):
    """Three clouds of points."""

    name = "clouds"
    layout = "features"

    def draw(self, seed: int, count: int = 120) -> Data:
        generator = torch.Generator().manual_seed(seed)
        targets = torch.arange(count) % 3
        centres = torch.tensor([0.2, 0.5, 0.8])[targets].unsqueeze(1)
        return Data((centres + 0.05 * torch.randn(count, 6, generator=generator)).clamp(0, 1), targets)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        return SearchData(self.draw(0), self.draw(1), 3)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return self.draw(2)


class WorstIsBest(Clouds):
    best_quality = -1.0


class LowestIsBest(Clouds):
    maximize = False
    worst_quality = 1.0
    best_quality = 0.0


class LiesAboutImages(Clouds):
    layout = "images"  # type: ignore[assignment]


class Doubles(Clouds):
    def prepare(self, batch: Tensor) -> Tensor:
        return batch.double()


class ScalesByTheBatch(Clouds):
    def prepare(self, batch: Tensor) -> Tensor:
        return (batch - batch.min()) / (batch.max() - batch.min())


class AddsNoise(Clouds):
    def prepare(self, batch: Tensor) -> Tensor:
        return (batch + 0.01 * torch.rand_like(batch)).clamp(0, 1)


class HalvesInPlace(Clouds):
    def prepare(self, batch: Tensor) -> Tensor:
        return batch.mul_(0.5)


class ConstantScore(Clouds):
    def score(self, output: Tensor, targets: Tensor) -> float:
        return 0.5


class Percent(Clouds):
    def score(self, output: Tensor, targets: Tensor) -> float:
        return 100 * super().score(output, targets)


class UpsideDownLoss(Clouds):
    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        return -super().loss(output, targets)


class NearlyTheSame(Clouds):
    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        train = self.draw(0)
        return Data((train.inputs + 1e-4).clamp(0, 1), train.targets)


class OnlyInTraining(Clouds):
    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        test = self.draw(2)
        kept = test.targets < 2
        return Data(test.inputs[kept], test.targets[kept])


CONTRACT = TaskContract
DATA = {
    CONTRACT.test_splits_share_no_near_duplicates: True,
    CONTRACT.test_every_class_of_the_training_is_measured: True,
}


def call(test: Any, plugin: type[Task]) -> None:
    data = plugin().search_data(None, 4)
    if test is CONTRACT.test_best_quality_is_better_than_the_worst:
        test(CONTRACT(), plugin)
    elif test in DATA:
        test(CONTRACT(), plugin, data, None)
    else:
        test(CONTRACT(), plugin, data)


CAUGHT = [
    (CONTRACT.test_best_quality_is_better_than_the_worst, WorstIsBest, "best_quality -1 is not better than"),
    (CONTRACT.test_right_outputs_score_better_than_wrong_ones, LowestIsBest, "maximize=False disagree"),
    (CONTRACT.test_right_outputs_score_better_than_wrong_ones, ConstantScore, "score and maximize=True disagree"),
    (CONTRACT.test_right_outputs_score_better_than_wrong_ones, Percent, "beyond best_quality"),
    (CONTRACT.test_right_outputs_score_better_than_wrong_ones, UpsideDownLoss, "wrong outputs have the smaller loss"),
    (CONTRACT.test_layout_is_that_of_its_inputs, LiesAboutImages, "inputs of layout 'images' have 4 axes"),
    (CONTRACT.test_prepares_each_sample_by_itself, ScalesByTheBatch, "mixes samples"),
    (CONTRACT.test_prepares_each_sample_by_itself, AddsNoise, "something else the second time"),
    (CONTRACT.test_prepares_each_sample_by_itself, HalvesInPlace, "changes the data that it is given"),
    (CONTRACT.test_prepares_single_precision, Doubles, r"returns torch\.float64"),
    (CONTRACT.test_splits_share_no_near_duplicates, NearlyTheSame, "of the test samples are nearly those of training"),
    (CONTRACT.test_every_class_of_the_training_is_measured, OnlyInTraining, r"the test split lacks classes \[2\]"),
]


@pytest.mark.parametrize(("test", "plugin", "message"), CAUGHT)
def test_fault_is_caught_by_name(test: Any, plugin: type[Task], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        call(test, plugin)


@pytest.mark.parametrize("test", dict.fromkeys(test for test, _, _ in CAUGHT))
def test_without_the_fault_it_passes(test: Any) -> None:
    call(test, Clouds)
