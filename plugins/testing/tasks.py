"""The contract of a task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from spikefront.plugins.contracts.task import Data, SearchData, Task
from spikefront.plugins.testing.base import (
    PluginContract,
)
from spikefront.searchspace import UsageError


class TaskContract(PluginContract):
    """What every task must do. Skipped where its files are missing."""

    kind = "task"
    steps: ClassVar[int] = 4

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
        if plugin.inputs == "static":
            assert batch.max() <= 1
        else:
            assert batch.dim() == 5
            assert batch.shape[1] == self.steps
            assert torch.equal(batch, batch.round())

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

    def test_chance_is_a_quality(self, plugin: type[Task], data: SearchData) -> None:
        few = replace(data, validation=Data(data.validation.inputs[:200], data.validation.targets[:200]))
        chance = plugin().chance_quality(few)
        assert abs(chance) < float("inf")


def _samples(data: Data) -> set[bytes]:
    return {sample.numpy().tobytes() for sample in data.inputs}
