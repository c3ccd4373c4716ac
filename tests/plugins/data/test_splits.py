from __future__ import annotations

import numpy as np

from spikefront.plugins.data.splits import classes_of, last_groups, split_each, stratified


def test_each_class_is_split_by_itself_in_the_order_of_the_classes() -> None:
    labels = np.array([2, 0, 2, 0, 2, 2, 0, 2])
    train, validation, test = split_each(classes_of(labels), lambda group: group[::-1], lambda count: (1, count // 2))
    assert test.tolist() == [6, 7, 5]  # half of 6, 3, 1, then of 7, 5, 4, 2, 0
    assert validation.tolist() == [3, 4]
    assert train.tolist() == [1, 2, 0]


def test_every_sample_is_in_one_part() -> None:
    labels = np.random.default_rng(0).integers(0, 9, 300)
    parts = split_each(classes_of(labels), np.random.default_rng(1).permutation, lambda count: (count // 6, count // 5))
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    for label in range(9):
        count = int((labels == label).sum())
        assert [int((labels[part] == label).sum()) for part in parts[1:]] == [count // 6, count // 5]


def test_no_samples_are_split_into_nothing() -> None:
    assert [len(part) for part in split_each([], np.flip, lambda count: (1, 1))] == [0, 0, 0]


def test_the_last_groups_are_held_out_whole() -> None:
    groups = [f"user{number:02}" for number in range(1, 24)] * 3
    held_out = last_groups(groups, 6)
    assert sorted({group for group, out in zip(groups, held_out, strict=True) if out}) == [
        "user20", "user21", "user22", "user23",
    ]  # fmt: skip
    assert held_out.sum() == 12
    assert last_groups(["b", "a", "b"], 6).tolist() == [True, False, True]


def test_one_in_six_of_each_class_validates() -> None:
    labels = np.repeat([0, 1, 2, 3], [60, 13, 2, 1])
    train, validation = stratified(labels, 6)
    assert np.bincount(labels[validation], minlength=4).tolist() == [10, 2, 1, 0]
    assert set(labels[validation[:6]]) > {0}  # whatever is measured on the first ones sees more than one class
    assert sorted([*train, *validation]) == list(range(len(labels)))
    again = stratified(labels, 6)
    assert np.array_equal(again[0], train)
    assert np.array_equal(again[1], validation)
