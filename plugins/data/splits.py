"""Splits of samples into those that train, validate and test: random, each class by itself, or by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def classes_of(labels: Array) -> list[Array]:
    """Return the numbers of the samples of each class, classes ascending."""
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def split_each(
    groups: Iterable[Array], permuted: Callable[[Array], Array], sizes: Callable[[int], tuple[int, int]]
) -> tuple[Array, Array, Array]:
    """Split groups of samples, each by itself.

    Args:
        groups: numbers of samples, such as those of one class each.
        permuted: returns a group in random order.
        sizes: returns how many samples of a group of this size validate, and how many test.

    Returns:
        Numbers of the training, validation and test samples, group after group.
    """
    train, validation, test = ([np.empty(0, np.int64)] for _ in range(3))
    for group in groups:
        members = permuted(group)
        validating, testing = sizes(len(members))
        test.append(members[:testing])
        validation.append(members[testing : testing + validating])
        train.append(members[testing + validating :])
    return np.concatenate(train), np.concatenate(validation), np.concatenate(test)


def last_groups(groups: Sequence[str], share: int) -> Array:
    """Return which samples belong to the last groups, in the order of their names.

    Args:
        groups: the group of each sample, such as its person, ``(N,)``; two different ones or more.
        share: one in so many groups is among the last, at least one.

    Returns:
        Mask of shape ``(N,)``.
    """
    names = sorted(set(groups))
    last = names[-max(1, round(len(names) / share)) :]
    return np.isin(np.array(groups), last)
