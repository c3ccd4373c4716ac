from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from spikefront.plugins import SearchData, array_task
from spikefront.plugins.data.arrays import ArrayTask
from spikefront.plugins.data.scaling import Scaling
from spikefront.searchspace import UsageError

BASE = np.random.default_rng(0).uniform(0, 1, (300, 3))
VALUES = BASE @ [2.0, 1.0, 0.0]
NAMES = np.where(BASE[:, 0] > 0.5, "wasp", "bee")


def prepared(inputs: Any, targets: Any) -> tuple[torch.Tensor, SearchData, ArrayTask]:
    task = array_task("mine", lambda: (inputs, targets))()
    data = task.search_data(None, 4)
    return task.prepare(torch.cat([data.train.inputs, data.validation.inputs])), data, task


@pytest.mark.parametrize(
    ("offset", "spread"), [(1e6, 1), (1.7e9, 60), (5e6, 2), (1e9, 1), (-1e9, 7), (1e12, 1e4), (250, 1)]
)
def test_an_offset_changes_neither_inputs_nor_targets(offset: float, spread: float) -> None:
    plain, known, _ = prepared(BASE * spread, VALUES * spread)

    moved, data, task = prepared(BASE * spread + offset, VALUES * spread + offset)

    steps = np.spacing(abs(offset)) / spread  # what float64 itself loses
    assert moved.dtype == data.train.targets.dtype == torch.float32
    assert len(moved[:, 0].unique()) == len(plain[:, 0].unique())
    torch.testing.assert_close(moved, plain, rtol=0, atol=1e-6 + 4 * steps)
    torch.testing.assert_close(data.train.targets, known.train.targets, rtol=0, atol=2e-6 + 8 * steps)
    back = task.in_units(data.train.targets)
    train = np.sort(task._samples().targets[task._samples().split()[0], 0])
    np.testing.assert_allclose(np.sort(back[:, 0].double()), train, rtol=0, atol=2e-6 * spread + 4 * steps * spread)


def test_whole_numbers_of_seconds_stay_apart() -> None:
    seconds = np.arange(1_700_000_000, 1_700_000_300)[:, None]

    inputs, data, _ = prepared(seconds, NAMES)

    assert data.train.inputs.dtype == torch.float64
    assert len(inputs.unique()) == len(inputs)


def test_what_float32_holds_well_stays_float32() -> None:
    for inputs in (BASE, BASE * 4 + 11, BASE.astype(np.float32) + 100, (BASE * 200).astype(np.int16)):
        assert prepared(inputs, VALUES)[1].train.inputs.dtype == torch.float32
    assert prepared((BASE * 255).astype(np.uint8), VALUES)[1].train.inputs.dtype == torch.uint8


def test_ranges_near_the_ends_of_float32_are_scaled() -> None:
    plain = prepared(BASE, VALUES)[0]

    for factor in (1e-44, 6e38):
        torch.testing.assert_close(prepared((BASE - 0.5) * factor, VALUES)[0], plain, rtol=0, atol=1e-6)


def test_a_feature_that_never_changes_in_training_is_0_whatever_comes() -> None:
    task = array_task("mine", lambda: (np.c_[BASE, np.full(300, 1.7e9)], VALUES))()

    assert task.prepare(torch.full((1, 4), 2e9, dtype=torch.float64))[0, 3] == 0


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (np.c_[BASE, np.full(300, 3.0)], "the same in all training samples, and so 0: feature 3;"),
        (pd.DataFrame({"age": BASE[:, 0], "site": 7}), r"and so 0: feature 1 \(site\);"),
        (
            (BASE * 60 + 1.7e9).astype(np.float32),
            "feature 0 spans 0 at 1.7e[+]09, where float32 has steps of 128; give float64;",
        ),
        (
            (BASE * 2 + 5e6).astype(np.float32),
            "feature 0 spans 2 at 5e[+]06, where float32 has steps of 0.5; give float64",
        ),
        (BASE + 1e16, "feature 0 spans 0 at 1e[+]16, where float64 has steps of 2; subtract an offset;"),
    ],
)
def test_inputs_that_tell_nothing_are_said(inputs: Any, line: str) -> None:
    assert re.search(line, array_task("mine", lambda: (inputs, NAMES)).describe())
    assert "steps" not in array_task("mine", lambda: (BASE * 60 + 1.7e9, NAMES)).describe()


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ((2**60 + np.arange(300))[:, None], "feature 0 has integers up to 1152921504606847275"),
        (np.c_[np.arange(300), np.full(300, -(2**63))], "feature 1 has integers up to -9223372036854775808"),
        (np.full((300, 2), 2**64 - 1, np.uint64), "feature 0 has integers up to 18446744073709551615"),
        (pd.DataFrame({"x": VALUES, "id": 2**60 + np.arange(300)}), r"feature 1 \(id\) has integers up to 1152921"),
        (np.full((300, 2, 2), 2**60), "an image has integers up to 1152921504606846976"),
    ],
)
def test_integers_that_float64_does_not_hold_are_refused_by_name(inputs: Any, what: str) -> None:
    with pytest.raises(UsageError, match=rf"^task 'mine': {what}\d*, beyond 2\^53, to which float64 is exact"):
        prepared(inputs, NAMES)


def test_integers_that_float64_holds_are_taken() -> None:
    assert len(prepared((2**53 - np.arange(300))[:, None], NAMES)[0].unique()) > 200


def test_targets_that_rounding_made_the_same_are_refused_with_the_reason() -> None:
    targets = (VALUES + 1e9).astype(np.float32) // 1024 * 1024

    with pytest.raises(UsageError, match=r"same target, 999999488, .* float32 holds to the nearest 64: give float64$"):
        prepared(BASE, targets)


def test_constants_survive_json_and_scale_alike() -> None:
    for inputs in (BASE + 1e9, BASE.reshape(300, 1, 3) + 1e9):
        batch, data, task = prepared(inputs, VALUES + 1e9)
        other = array_task("mine", lambda: 1 / 0)()

        other.restore(json.loads(json.dumps(task.constants())))

        given = torch.cat([data.train.inputs, data.validation.inputs])
        assert torch.equal(other.prepare(given), batch)
        assert torch.equal(other.in_units(data.train.targets), task.in_units(data.train.targets))


@pytest.mark.parametrize(
    "change",
    [
        {"low": []}, {"low": [0.0, 1.0]}, {"sd": [0.0]}, {"mean": []}, {"high": [float("nan")]}, {"low": [9.0]},
        {"more": [1.0]},
    ],
)  # fmt: skip
def test_constants_that_no_data_have_are_refused(change: dict[str, list[float]]) -> None:
    with pytest.raises(UsageError, match=r"^constants of arrays"):
        Scaling.of_constants({"low": [0.0], "high": [1.0], "mean": [0.0], "sd": [1.0], **change})


@pytest.mark.parametrize(
    "make",
    [
        list,
        np.array,
        pd.Series,
        lambda given: pd.Series(given, dtype="category"),
        lambda given: np.array(given, dtype="S"),
        lambda given: np.array(given, object),
    ],
)
def test_text_labels_are_numbered_in_sorted_order_and_keep_their_names(make: Any) -> None:
    _, data, task = prepared(BASE, make(NAMES.tolist()))
    train = task._samples().split()[0]

    assert data.classes == ("bee", "wasp")
    assert np.array(data.classes)[data.train.targets].tolist() == NAMES[train].tolist()
    assert "targets: 2 classes (bee, wasp);" in task.describe()


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ([*NAMES[:-1], None], "the target of sample 299 is None, a NoneType; give classes as integers or text"),
        (np.array([*NAMES[:-1], float("nan")], object), "the target of sample 299 is nan, a float"),
        ([*NAMES[:-1], " "], "the target of sample 299 is empty"),
        (["bee"] * 300, "all 300 targets are class 'bee'; there is nothing to tell apart"),
        ([*["bee"] * 299, "ant"], "class 'ant' has 1 sample, and needs 3"),
        (VALUES.astype(str), "class '.*' has 1 sample, .*; text and integers are classes: give values .* as floats"),
        (NAMES[:, None], r"text as targets must be one name per sample, not of shape \(300, 1\)"),
    ],
)
def test_labels_that_are_none_are_refused_in_one_line(targets: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^task 'mine': {reason}"):
        prepared(BASE, targets)
