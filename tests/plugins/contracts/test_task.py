"""What a task does unless its class says otherwise."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task, load_registry
from spikefront.plugins.data.arrays import array_task


def search_data(targets: Tensor, outputs: int) -> SearchData:
    split = Data(torch.zeros(len(targets), 1), targets)
    return SearchData(split, split, outputs)


class Plain(Task):
    """Classification."""

    name = "plain"


class Reversed(Task):
    """Scores wrong answers."""

    name = "reversed"

    def score(self, output: Tensor, targets: Tensor) -> float:
        return 1 - super().score(output, targets)


def test_chance_is_the_share_of_the_most_frequent_class() -> None:
    targets = torch.tensor([3, 1, 1, 4, 1, 2, 2])
    data = search_data(targets, 6)
    assert Plain().chance_quality(data) == 3 / 7
    assert array_task("a", lambda: ())().chance_quality(data) == 3 / 7
    assert Reversed().chance_quality(data) == 1.0  # class 0 or 5, whatever is asked of each


def test_chance_of_a_thousand_classes_takes_no_time() -> None:
    targets = torch.arange(128_000) % 1000
    began = time.process_time()
    assert Plain().chance_quality(search_data(targets, 1000)) == pytest.approx(1 / 1000)
    assert time.process_time() - began < 2  # an argmax for each class takes minutes


def test_every_task_says_what_its_validation_holds_out_and_so_does_the_page() -> None:
    registry = load_registry(third_parties=False)
    page = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for name in registry.entries["task"]:
        assert registry.get("task", name).held_out, name
        assert f"`{name}`" in page, name
