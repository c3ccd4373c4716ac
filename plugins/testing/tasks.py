"""The contract of a task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from spikefront.plugins.contracts.plugin import COUNTED, SEQUENTIAL
from spikefront.plugins.contracts.task import Data, SearchData, Task
from spikefront.plugins.testing.base import (
    PluginContract,
)
from spikefront.searchspace import UsageError


class TaskContract(PluginContract):
    """What every task must do. Skipped where its files are missing."""

    kind = "task"
    steps: ClassVar[int] = 4
    near: ClassVar[float] = 0.1
    """Distance below which samples are nearly the same, as a share of the usual one to the nearest other sample."""
    most_near: ClassVar[float] = 0.1
    """Share of a split that may be so near to the training split."""

    @pytest.fixture
    def data_dir(self) -> Path | None:
        """Return the folder that the task reads; None lets it look, and download, where it likes."""
        return None

    @pytest.fixture
    def data(self, plugin: type[Task], data_dir: Path | None) -> SearchData:
        """Return the training and validation splits."""
        try:
            return plugin().search_data(data_dir, self.steps)
        except UsageError as missing:
            pytest.skip(str(missing))

    def test_splits_share_no_sample(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        test = plugin().test_data(data_dir, self.steps)
        train, validation, tested = (_samples(split) for split in (data.train, data.validation, test))
        assert train
        assert validation
        assert tested
        assert not train & validation
        assert not (train | validation) & tested

    def test_says_where_its_files_are(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        files = plugin().files(data_dir)
        assert not files or any(file.exists() for file in files), "its data were read, and none of these exists"

    def test_same_split_twice(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        again = plugin().search_data(data_dir, self.steps)
        for one, other in ((data.train, again.train), (data.validation, again.validation)):
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.targets, other.targets)

    def test_prepares_floats_between_0_and_1_or_numbers_of_events(self, plugin: type[Task], data: SearchData) -> None:
        batch = plugin().prepare(data.train.inputs[:64])
        assert batch.is_floating_point()
        assert len(batch) == min(64, len(data.train))
        assert batch.min() >= 0
        assert batch.any()
        if plugin.inputs not in COUNTED:
            assert batch.max() <= 1
        else:
            assert torch.equal(batch, batch.round())
        if plugin.inputs == "events":
            assert batch.dim() == 5
            assert batch.shape[1] == self.steps

    def test_event_frames_are_made_for_any_number_of_steps(
        self, plugin: type[Task], data: SearchData, data_dir: Path | None
    ) -> None:
        if plugin.inputs == "events":
            again = plugin().search_data(data_dir, self.steps + 3)
            assert again.train.inputs.shape[1] == self.steps + 3
            assert torch.equal(again.train.targets, data.train.targets)
            assert again.validation.inputs.sum() == data.validation.inputs.sum()  # each event is in one frame

    def test_every_class_has_an_output(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        for split in (data.train, data.validation, plugin().test_data(data_dir, self.steps)):
            assert len(split.inputs) == len(split.targets)
            if split.targets.dim() == 1 and not split.targets.is_floating_point():  # images may be whole numbers too
                assert split.targets.min() >= 0
                assert split.targets.max() < data.outputs

    def test_loss_has_a_gradient_and_quality_is_a_number(self, plugin: type[Task], data: SearchData) -> None:
        targets = data.validation.targets[:16]
        output = torch.randn(len(targets), data.outputs, requires_grad=True)
        loss = plugin().loss(output, targets)
        assert loss.shape == ()
        loss.backward()
        assert output.grad is not None
        assert output.grad.isfinite().all()
        assert abs(plugin().score(output.detach(), targets)) < float("inf")

    def test_layout_is_that_of_its_inputs(self, plugin: type[Task], data: SearchData) -> None:
        shape = tuple(plugin().prepare(data.train.inputs[:4]).shape)
        axes = 5 if plugin.inputs == "events" else {"images": 4, "sequences": 3, "features": 2}[plugin.layout]
        assert (plugin.layout == "sequences") == (plugin.inputs in SEQUENTIAL)
        assert plugin.length == (shape[1] if plugin.inputs in SEQUENTIAL else 0), "length is that of a sequence"
        assert len(shape) == axes, f"{plugin.inputs} inputs of layout {plugin.layout!r} have {axes} axes, not {shape}"

    def test_prepares_single_precision(self, plugin: type[Task], data: SearchData) -> None:
        batch = plugin().prepare(data.train.inputs[:4])
        assert batch.dtype == torch.float32, f"prepare() returns {batch.dtype}; networks are float32"

    def test_constants_replace_the_data(self, plugin: type[Task], data: SearchData) -> None:
        """An exported network has the constants, and no data."""
        task, other = plugin(), plugin()
        constants = json.loads(json.dumps({name: list(numbers) for name, numbers in task.constants().items()}))
        other.restore(constants)
        batch, output = data.validation.inputs[:16], torch.randn(4, data.outputs)
        assert torch.equal(task.prepare(batch), other.prepare(batch))
        assert torch.equal(task.in_units(output), other.in_units(output))
        if constants:
            made = other.prepare(batch.to("meta")).shape, other.in_units(output.to("meta")).shape
            assert made == (task.prepare(batch).shape, task.in_units(output).shape)

    def test_prepares_each_sample_by_itself(self, plugin: type[Task], data: SearchData) -> None:
        task, raw = plugin(), _some(data.train.inputs, 8).clone()
        given = raw.clone()
        batch = task.prepare(given).clone()
        assert torch.equal(given, raw), "prepare() changes the data that it is given"
        assert torch.equal(task.prepare(raw.clone()), batch), "prepare() returns something else the second time"
        for sample, prepared in zip(raw, batch, strict=True):
            alone = task.prepare(sample.unsqueeze(0).clone())[0]
            assert torch.allclose(alone, prepared, atol=1e-5), "prepare() mixes samples: one alone is scaled otherwise"

    def test_best_quality_is_better_than_the_worst(self, plugin: type[Task]) -> None:
        best, worst = plugin.best_quality, plugin.worst_quality
        assert best > worst if plugin.maximize else best < worst, (
            f"best_quality {best:g} is not better than worst_quality {worst:g} with maximize={plugin.maximize}"
        )

    def test_right_outputs_score_better_than_wrong_ones(self, plugin: type[Task], data: SearchData) -> None:
        targets = data.validation.targets[:200]
        right = _right_outputs(targets, data.outputs)
        if plugin.output != "values" or right is None:
            return
        task, sign = plugin(), 1 if plugin.maximize else -1
        wrong = right.roll(1, 1) if data.outputs > 1 and right.shape[1] > 1 else -right
        good, bad = task.score(right, targets), task.score(wrong, targets)
        assert sign * (good - bad) > 0, (
            f"right outputs score {good:g} and wrong ones {bad:g}: score and maximize={plugin.maximize} disagree"
        )
        assert sign * (plugin.best_quality - good) >= -1e-6, f"the targets score {good:g}, beyond best_quality"
        assert task.loss(right, targets) < task.loss(wrong, targets), "wrong outputs have the smaller loss"

    def test_every_class_of_the_training_is_measured(
        self, plugin: type[Task], data: SearchData, data_dir: Path | None
    ) -> None:
        if data.train.targets.dim() != 1 or data.train.targets.is_floating_point():
            return
        classes = set(data.train.targets.tolist())
        for name, split in (("validation", data.validation), ("test", plugin().test_data(data_dir, self.steps))):
            missing = classes - set(split.targets.tolist())
            assert not missing or len(split) < 2 * len(classes), f"the {name} split lacks classes {sorted(missing)[:5]}"

    def test_splits_share_no_near_duplicates(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        """A copy with noise, or scaled again, gives a test sample away as the sample itself would."""
        task = plugin()
        known = _rows(task.prepare(_some(data.train.inputs, 3000)))
        half = min(200, len(known) // 2)
        typical = _nearest(known[:half], known[half:]).median()
        tested = plugin().test_data(data_dir, self.steps)
        for name, split in (("validation", data.validation), ("test", tested)):
            near = _nearest(_rows(task.prepare(_some(split.inputs, 200))), known) < self.near * typical
            share = float(near.double().mean())
            assert share <= self.most_near, (
                f"{share:.0%} of the {name} samples are nearly those of training: within {self.near:g} of what is usual"
            )

    def test_chance_is_a_quality(self, plugin: type[Task], data: SearchData) -> None:
        few = replace(data, validation=Data(data.validation.inputs[:200], data.validation.targets[:200]))
        chance = plugin().chance_quality(few)
        assert abs(chance) < float("inf")


def _samples(data: Data) -> set[bytes]:
    return {sample.numpy().tobytes() for sample in data.inputs}


def _some(samples: Tensor, count: int) -> Tensor:
    """Return ``count`` evenly spaced samples, or all if there are fewer."""
    count = min(count, len(samples))
    return samples[torch.arange(count) * len(samples) // count]


def _rows(batch: Tensor) -> Tensor:
    return batch.flatten(1).float()


def _nearest(rows: Tensor, others: Tensor) -> Tensor:
    """Return the distance of each row to the nearest of the others."""
    return torch.cdist(rows, others).amin(1)


def _right_outputs(targets: Tensor, outputs: int) -> Tensor | None:
    """Return outputs that are as right as can be, ``(N, K)``; None where targets do not say which."""
    if targets.dim() == 1 and not targets.is_floating_point():
        return 10.0 * torch.nn.functional.one_hot(targets.long(), outputs)
    if targets.numel() == len(targets) * outputs and targets.is_floating_point():
        return targets.reshape(len(targets), outputs).float()
    return None
