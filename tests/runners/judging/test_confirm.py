"""Data of confirming: what was searched on together, without a copy of what is mapped from one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task, load_registry
from spikefront.plugins.data.cache import mapped, new_array
from spikefront.runners.judging.confirm import RIGHT, confirmation_data, judge_by_sample, judge_for_good
from spikefront.runners.judging.judge import Judging, judge
from spikefront.runners.judging.twins import judge_twins
from spikefront.searchspace import from_flat


class Numbers(Task):
    """Training, validation and test samples that count up, each split from memory of its own or all from one file."""

    name = "numbers"

    def __init__(self, inputs: Tensor, order: tuple[slice, slice]) -> None:
        super().__init__()
        self._inputs, self._order = inputs, order

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        train, validation = (Data(self._inputs[part], torch.arange(12)[part]) for part in self._order)
        return SearchData(train, validation, 2)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return Data(self._inputs[10:], torch.arange(12)[10:])


@pytest.fixture
def file(tmp_path: Path) -> Tensor:
    array = new_array(tmp_path / "inputs.npy", (12, 3), "int64")
    array[:] = torch.arange(36).reshape(12, 3).numpy()
    array.flush()
    return mapped(tmp_path / "inputs.npy")


@pytest.mark.parametrize(
    ("order", "shared"),
    [((slice(0, 6), slice(6, 10)), True), ((slice(4, 10), slice(0, 4)), False), ((slice(0, 5), slice(6, 10)), False)],
)
def test_neighbours_in_a_file_are_joined_where_they_are(file: Tensor, order: tuple[slice, slice], shared: bool) -> None:
    data = confirmation_data(Numbers(file, order), None, 1)
    numbers = [number for part in order for number in range(12)[part]]
    assert data.train.targets.tolist() == numbers
    assert torch.equal(data.train.inputs, file[numbers])
    assert data.validation.targets.tolist() == [10, 11]
    assert (data.train.inputs.data_ptr() == file.data_ptr()) is shared


def test_images_to_generate_are_kept_once() -> None:
    task = load_registry(third_parties=False).get("task", "digits-generation")()
    known = task.search_data(None, 1)
    data = confirmation_data(task, None, 1)
    assert data.train.targets is data.train.inputs
    assert torch.equal(data.train.inputs, torch.cat([known.train.inputs, known.validation.inputs]))
    assert data.validation.targets is data.validation.inputs


@pytest.mark.parametrize("coding", ["direct", "rate-conversion"])
def test_a_training_that_diverges_has_no_result(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load_registry(third_parties=False)
    data = Data(torch.zeros(8, 1, 8, 8), torch.arange(8))
    flat = {"task": "digits", "coding": coding, "backbone": "mlp", "training.epochs": 3}
    candidate, model = from_flat(flat, registry), registry.get("energy", "horowitz-45nm")()
    split = SearchData(data, data, 10)
    losses = iter([1.0, torch.nan] * 3)  # of one batch each: the second epoch goes wrong
    task = registry.get("task", "digits")
    monkeypatch.setattr(task, "loss", lambda self, output, targets: output.sum() * 0 + next(losses))
    with pytest.raises(FloatingPointError, match=r"^loss is nan at epoch [23]$"):
        judge_for_good(candidate, 1, registry=registry, data=split, energy_model=model)
    with pytest.raises(FloatingPointError, match=r"^loss is nan at epoch 3$"):
        judge_twins(candidate, registry=registry, data=split, energy_model=model)
    with pytest.raises(FloatingPointError, match=r"^loss is nan at epoch [23]$"):
        judge(candidate, registry=registry, data=split)


@pytest.mark.parametrize("coding", ["direct", "rate-conversion"])
def test_which_samples_are_right_is_said_beside_the_same_metrics(coding: str) -> None:
    registry = load_registry(third_parties=False)
    flat = {"task": "digits", "coding": coding, "backbone": "mlp", "training.epochs": 2, "training.subset": 300}
    candidate, model = from_flat(flat, registry), registry.get("energy", "horowitz-45nm")()
    data = registry.task(candidate).search_data(None, candidate.steps)
    found = judge_by_sample(candidate, 4, registry=registry, data=data, energy_model=model)[0]
    right = found[RIGHT]
    assert len(right) == len(data.validation)
    assert sum(right) / len(right) == pytest.approx(found["quality"])
    assert 0 < found["quality"] < 1
    plain = judge_for_good(candidate, 4, registry=registry, data=data, energy_model=model)[0]
    same = ("quality", "energy_nj", "sops", "loss")
    assert [found[name] for name in same] == [plain[name] for name in same]


def test_of_values_nothing_is_said_to_be_right() -> None:
    registry = load_registry(third_parties=False)
    flat = {"task": "diabetes", "coding": "direct", "backbone": "mlp", "training.epochs": 1}
    candidate, model = from_flat(flat, registry), registry.get("energy", "horowitz-45nm")()
    data = registry.task(candidate).search_data(None, candidate.steps)
    assert RIGHT not in judge_by_sample(candidate, 1, registry=registry, data=data, energy_model=model)[0]


@pytest.mark.parametrize("coding", ["direct", "rate-conversion"])
def test_one_training_is_measured_at_each_cut_as_it_would_be_alone(coding: str) -> None:
    registry = load_registry(third_parties=False)
    known = registry.get("task", "digits")().search_data(None, 4)
    data = replace(known, train=Data(known.train.inputs[:128], known.train.targets[:128]))
    flat = {"task": "digits", "coding": coding, "backbone": "mlp", "training.epochs": 1, "steps": 4}
    model = registry.get("energy", "horowitz-45nm")()
    often = Mock(wraps=Judging)
    with patch("spikefront.runners.judging.confirm.Judging", often):
        found = judge_for_good(
            from_flat({**flat, "cut": 2}, registry), 7, cuts=(0, 2, 9), registry=registry, data=data, energy_model=model
        )
    assert often.call_count == 1
    assert found.keys() == {0, 2}  # at 9 of 4 steps there is nothing
    alone = judge(from_flat({**flat, "cut": 2, "seed": 7}, registry), registry=registry, data=data).metrics
    whole = judge(from_flat({**flat, "seed": 7}, registry), registry=registry, data=data).metrics
    for cut, expected in ((0, whole), (2, alone)):
        for name in ("quality", "energy_nj", "sops", "latency_steps", "energy_se_nj"):
            assert found[cut][name] == expected[name], name
    assert found[2]["energy_nj"] < found[0]["energy_nj"]
    said = judge_by_sample(from_flat(flat, registry), 7, cuts=(2,), registry=registry, data=data, energy_model=model)
    assert said.keys() == {2}
    assert sum(said[2][RIGHT]) / len(said[2][RIGHT]) == pytest.approx(found[2]["quality"])
