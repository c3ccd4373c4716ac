from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from spikefront.plugins.data.samples import Array, checked
from spikefront.searchspace import UsageError

X = np.arange(40.0).reshape(20, 2)
CLASSES = np.arange(20) % 4
VALUES = np.linspace(0, 1, 20)


def with_(array: Array, index: Any, value: float) -> Array:
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, CLASSES[:19]), "20 inputs but 19 targets"),
        ((X[:0], CLASSES[:0]), "no samples"),
        ((with_(X, (3, 1), np.nan), CLASSES), "1 of 40 input values are NaN, infinite .*, the first in sample 3"),
        ((with_(X, slice(5, 7), np.inf), CLASSES), "4 of 40 input values are .* the first in sample 5"),
        ((with_(X, (0, 0), 1e39), CLASSES), "1 of 40 input values .* beyond float32, the first in sample 0"),
        ((X, with_(VALUES, 2, np.nan)), "1 of 20 targets are NaN, infinite or beyond float32, the first in sample 2"),
        ((X.astype(complex), CLASSES), "inputs of dtype complex128; they must be real numbers"),
        ((X.astype(str), CLASSES), "inputs of dtype <U32; they must be real numbers"),
        ((X[:, 0], CLASSES), r"inputs of shape \(20,\); they must be \(samples, features\), \(samples, height"),
        ((X[:, :0], CLASSES), r"inputs of shape \(20, 0\); they must be"),
        ((np.zeros((20, 1, 2, 2, 2)), CLASSES), r"inputs of shape \(20, 1, 2, 2, 2\); they must be"),
        ((3.0, CLASSES), "inputs must be an array with one entry per sample, not a single value"),
        ((np.zeros((20, 9, 8, 3)), CLASSES), r"images of shape \(9, 8, 3\) have their channels last; numpy\.moveaxis"),
        ((X, np.array(list("abcdefghijklmnopqrst"))), r"class 'a' has 1 sample, and needs 3: [a-z, ]*$"),
        ((X, CLASSES.reshape(20, 1)), r"targets of dtype int64 are classes, .* not of shape \(20, 1\); give"),
        ((X, CLASSES - 1), "classes are numbered from 0, and one target is -1"),
        ((X, np.ones(20, int)), "all 20 targets are class 1; there is nothing to tell apart"),
        ((X, np.where(CLASSES == 1, 2, CLASSES)), r"class 1 of 0 to 3 has no samples; numpy\.unique.* them anew"),
        ((X, np.arange(20) * 17), "class 1 of 0 to 323 has no samples; integers are classes: give values"),
        ((X, with_(np.zeros(20, int), [4, 9], 1)), "class 1 has 2 samples, and needs 3: one to train, one to validate"),
        ((X, with_(np.zeros(20, int), 4, 1)), "class 1 has 1 sample, and needs 3"),
        ((X, np.zeros((20, 1, 1))), r"targets of shape \(20, 1, 1\); values must be \(samples,\) or"),
        ((X[:5], VALUES[:5]), "5 samples; R2 needs 6: two to train, two to validate, two to test"),
        ((X, np.stack([VALUES, np.full(20, 7.0)], 1)), "output 1 has the same target, 7, in all samples"),
        ({"inputs": X}, r"it reads a dict; give \(inputs, targets\), two arrays, or a data set"),
        (iter([]), r"it reads a list_iterator; give \(inputs, targets\)"),
        ([], "no samples"),
        ([(X[0], 0, 1)], r"item 0 is a tuple, and must be \(input, target\)"),
        ([X[0]], r"item 0 is a ndarray, and must be \(input, target\)"),
        ([(X[0], 0), (X[0, :1], 1)], r"item 1 has shape \(1,\), item 0 \(2,\); all must have the same"),
    ],
)  # fmt: skip
def test_unusable_arrays_are_refused_in_one_line(given: object, message: str) -> None:
    with pytest.raises(UsageError, match=rf"^task 'mine': {message}") as caught:
        checked(given, "mine")

    assert "\n" not in str(caught.value)


def test_classes_are_split_64_16_20_each_by_itself() -> None:
    labels = np.repeat([0, 1, 2], [100, 25, 3])
    train, validation, test = checked((np.zeros((128, 1)), labels), "mine").split()

    # of 25: 5 test, a fifth of 20 validates; of 3, one each
    assert [np.bincount(labels[part]).tolist() for part in (train, validation, test)] == [
        [64, 16, 1],
        [16, 4, 1],
        [20, 5, 1],
    ]
    assert sorted(np.concatenate([train, validation, test]).tolist()) == list(range(128))


@pytest.mark.parametrize(("count", "sizes"), [(100, (64, 16, 20)), (442, (284, 70, 88)), (6, (2, 2, 2))])
def test_values_are_split_64_16_20(count: int, sizes: tuple[int, int, int]) -> None:
    parts = checked((np.zeros((count, 1)), np.arange(count) / count), "mine").split()

    assert tuple(map(len, parts)) == sizes
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))


def test_split_is_drawn_but_always_the_same() -> None:
    samples = checked((np.zeros((100, 1)), np.arange(100) / 100), "mine")

    first, second = samples.split(), samples.split()

    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert (np.diff(first[0]) < 0).any()


class Squares(Dataset[tuple[torch.Tensor, float]]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        return torch.tensor([float(index)]), float(index**2)


def test_torch_dataset_is_read_item_by_item() -> None:
    squares = checked(Squares(), "mine")
    labelled = checked(TensorDataset(torch.from_numpy(X), torch.from_numpy(CLASSES)), "mine")

    assert squares.inputs[:, 0].tolist() == list(range(8))
    assert squares.targets[:, 0].tolist() == [k**2 for k in range(8)]
    assert np.array_equal(labelled.inputs, X)
    assert labelled.classes
    assert np.array_equal(labelled.targets, CLASSES)


def test_tensors_and_arrays_are_the_same() -> None:
    given = torch.from_numpy(X).to(torch.bfloat16).requires_grad_(), torch.from_numpy(CLASSES)

    assert np.array_equal(checked(given, "mine").inputs, X)  # whole numbers below 256 are exact in bfloat16


def test_grey_images_get_a_channel() -> None:
    images = np.arange(20 * 6).reshape(20, 2, 3)

    assert np.array_equal(checked((images, CLASSES), "mine").inputs, images.reshape(20, 1, 2, 3))


def test_what_is_mapped_into_memory_is_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    assert np.shares_memory(checked((mapped, CLASSES), "mine").inputs, mapped)


def test_yes_and_no_are_two_classes() -> None:
    assert checked((X, CLASSES > 1), "mine").targets.tolist() == (CLASSES > 1).astype(int).tolist()
