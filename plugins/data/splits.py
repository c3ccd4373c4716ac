"""Splits of samples into those that train, validate and test: random, each class by itself, or by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SEED: Final = 0


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


def stratified(labels: Array, share: int) -> tuple[Array, Array]:
    """Split samples by class into those that train and those that validate, with a fixed seed.

    Args:
        labels: the class of each sample, ``(N,)``.
        share: one in so many of a class validates, at least one; none of a class of one.

    Returns:
        Their numbers, shuffled, so that any part of a split has all classes: those that train, those that validate.
    """
    generator = np.random.default_rng(_SEED)

    def sizes(count: int) -> tuple[int, int]:
        return max(1, count // share) if count > 1 else 0, 0

    train, validation, _ = split_each(classes_of(labels), generator.permutation, sizes)
    validation = generator.permutation(validation)
    return generator.permutation(np.sort(train)), validation


def by_group(groups: Sequence[str], share: int) -> tuple[Array, Array]:
    """Split samples by group: the last one in ``share`` groups, in the order of their names, validates.

    Args:
        groups: the group of each sample, two different ones or more.
        share: one in so many groups validates, at least one.

    Returns:
        Numbers of the samples that train and of those that validate, shuffled with a fixed seed.
    """
    generator, held_out = np.random.default_rng(_SEED), last_groups(groups, share)
    return generator.permutation(np.flatnonzero(~held_out)), generator.permutation(np.flatnonzero(held_out))
