from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from spikefront.plugins.tasks.digits import Digits


def test_split_is_64_16_20_percent_of_each_class() -> None:
    data, test = Digits().search_data(None, 4), Digits().test_data(None, 4)
    counts = np.bincount(load_digits(return_X_y=True)[1])
    tests = counts // 5
    validations = (counts - tests) // 5
    assert (len(data.train), len(data.validation), len(test)) == (
        (counts - tests - validations).sum(),
        validations.sum(),
        tests.sum(),
    )
    assert len(data.train) + len(data.validation) + len(test) == 1797
    assert data.train.inputs.shape[1:] == (1, 8, 8)
    assert data.outputs == 10


def test_split_is_stratified() -> None:
    data, test = Digits().search_data(None, 4), Digits().test_data(None, 4)
    for split in (data.train, data.validation, test):
        share = split.targets.bincount(minlength=10) / len(split)
        assert (share - 0.1).abs().max() < 0.015


def test_image_stays_with_its_label() -> None:
    images, labels = load_digits(return_X_y=True)
    known = {image.astype("uint8").tobytes(): label for image, label in zip(images, labels, strict=True)}
    test = Digits().test_data(None, 4)
    for image, label in zip(test.inputs, test.targets, strict=True):
        assert known[image.numpy().tobytes()] == label


def test_full_ink_is_1() -> None:
    assert Digits().prepare(torch.tensor([[0, 8, 16]], dtype=torch.uint8)).tolist() == [[0, 0.5, 1]]
