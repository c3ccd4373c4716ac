"""Samples in memory: what is given as two arrays or a data set is checked, put into one form and split.

Nothing is converted without need: bytes stay bytes, and what is mapped into memory is copied only where a split is cut
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from spikefront.plugins.data.splits import classes_of, split_each
from spikefront.searchspace import UsageError

Array = NDArray[Any]

_SPLIT_SEED: Final = 0
_MANY_CLASSES: Final = 20


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs and targets that belong together. Made by ``checked``.

    Attributes:
        inputs: features ``(N, F)`` or images ``(N, C, H, W)``, of any real dtype.
        targets: classes ``(N,)``, integers 0 to K - 1, or values ``(N, K)``, floats.
    """

    inputs: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def classes(self) -> bool:
        """Whether the targets are classes."""
        return self.targets.ndim == 1

    def split(self) -> tuple[Array, Array, Array]:
        """Return the indices of training, validation and test samples: 64, 16 and 20 %, drawn with a fixed seed.

        Each class is split by itself. Each part has at least one sample of a class, or two samples with values.
        """
        fewest = 1 if self.classes else 2

        def sizes(count: int) -> tuple[int, int]:
            test = max(fewest, count // 5)
            return max(fewest, (count - test) // 5), test

        groups = classes_of(self.targets) if self.classes else [np.arange(len(self))]
        return split_each(groups, np.random.default_rng(_SPLIT_SEED).permutation, sizes)


def checked(given: object, task: str) -> Samples:
    """Check what a task reads.

    Args:
        given: two arrays, inputs ``(N, F)``, ``(N, H, W)`` or ``(N, C, H, W)`` and targets; or a data set with a
            length, whose items are pairs of one input and one target, such as a map-style torch ``Dataset``.
        task: the task's name, for messages.

    Raises:
        UsageError: for lengths that differ, no samples, values that are no finite numbers, inputs of another number of
            axes, targets that are neither classes nor values, and too few samples of a class.
    """
    where = f"task {task!r}"
    if isinstance(given, tuple) and len(given) == 2:
        inputs, targets = (_array(part) for part in given)
    else:
        inputs, targets = _stacked(given, where)
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.ndim == 0:
            raise UsageError(f"{where}: {name} must be an array with one entry per sample, not a single value")
    if len(inputs) != len(targets):
        raise UsageError(f"{where}: {len(inputs)} inputs but {len(targets)} targets")
    if len(inputs) == 0:
        raise UsageError(f"{where}: no samples")
    return Samples(_checked_inputs(inputs, where), _checked_targets(targets, where))


def _array(part: object) -> Array:
    if isinstance(part, torch.Tensor):
        part = part.detach().cpu()
        return part.numpy() if part.dtype != torch.bfloat16 else part.float().numpy()
    return np.asarray(part)


def _stacked(items: object, where: str) -> tuple[Array, Array]:
    """Return all items of a data set as two arrays."""
    if not (isinstance(items, Sized) and hasattr(items, "__getitem__")) or isinstance(items, Mapping):
        raise UsageError(
            f"{where}: it reads a {type(items).__name__}; give (inputs, targets), two arrays, or a data set with a "
            "length and items by number"
        )
    if len(items) == 0:
        raise UsageError(f"{where}: no samples")
    columns: tuple[list[Array], list[Array]] = ([], [])
    for number in range(len(items)):
        pair = items[number]
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise UsageError(f"{where}: item {number} is a {type(pair).__name__}, and must be (input, target)")
        for column, part in zip(columns, map(_array, pair), strict=True):
            if column and part.shape != column[0].shape:
                shapes = f"shape {part.shape}, item 0 {column[0].shape}"
                raise UsageError(f"{where}: item {number} has {shapes}; all must have the same")
            column.append(part)
    return np.stack(columns[0]), np.stack(columns[1])


def _checked_inputs(inputs: Array, where: str) -> Array:
    if inputs.dtype.kind not in "buif":
        raise UsageError(f"{where}: inputs of dtype {inputs.dtype}; they must be real numbers")
    if inputs.ndim == 3:  # grey images
        inputs = inputs[:, None]
    shape = inputs.shape[1:]
    if inputs.ndim not in (2, 4) or 0 in shape:
        raise UsageError(
            f"{where}: inputs of shape {inputs.shape}; they must be (samples, features), (samples, height, width) or "
            "(samples, channels, height, width)"
        )
    if len(shape) == 3 and shape[2] in (1, 3, 4) and min(shape[:2]) > 4:
        raise UsageError(
            f"{where}: images of shape {shape} have their channels last; numpy.moveaxis(inputs, -1, 1) puts them first"
        )
    _refuse_infinite(inputs, "input values", where)
    return inputs


def _refuse_infinite(values: Array, what: str, where: str) -> None:
    if values.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):  # what float32 can't hold is infinite for a network
        good = np.isfinite(values.astype(np.float32, copy=False))
    if not good.all():
        first = int(np.argmin(good.reshape(len(good), -1).all(1)))
        raise UsageError(
            f"{where}: {good.size - int(good.sum()):,} of {good.size:,} {what} are NaN, infinite or beyond float32, "
            f"the first in sample {first}"
        )


def _checked_targets(targets: Array, where: str) -> Array:
    if targets.dtype.kind in "bui":
        return _checked_classes(targets, where)
    if targets.dtype.kind == "f":
        return _checked_values(targets, where)
    raise UsageError(
        f"{where}: targets of dtype {targets.dtype}; give classes as integers "
        "(numpy.unique(targets, return_inverse=True)[1]) or values as floats"
    )


def _checked_classes(targets: Array, where: str) -> Array:
    if targets.ndim != 1:
        raise UsageError(
            f"{where}: targets of dtype {targets.dtype} are classes, one per sample, not of shape {targets.shape}; "
            "give values to predict as floats"
        )
    labels = targets.astype(np.int64)
    found, counts = np.unique(labels, return_counts=True)
    if found[0] < 0:
        raise UsageError(f"{where}: classes are numbered from 0, and one target is {found[0]}")
    if len(found) == 1:
        raise UsageError(f"{where}: all {len(labels)} targets are class {found[0]}; there is nothing to tell apart")
    hint = "; integers are classes: give values to predict as floats" if found[-1] >= _MANY_CLASSES else ""
    if len(found) <= found[-1]:
        empty = int(np.setdiff1d(np.arange(len(found) + 1), found)[0])
        renumber = "numpy.unique(targets, return_inverse=True)[1] numbers them anew"
        raise UsageError(f"{where}: class {empty} of 0 to {found[-1]} has no samples; {hint[2:] or renumber}")
    if counts.min() < 3:
        few, count = int(counts.argmin()), int(counts.min())
        raise UsageError(
            f"{where}: class {few} has {count} sample{'s' * (count > 1)}, and needs 3: one to train, one to validate, "
            f"one to test{hint}"
        )
    return labels


def _checked_values(targets: Array, where: str) -> Array:
    if targets.ndim > 2 or targets.size == 0:
        raise UsageError(f"{where}: targets of shape {targets.shape}; values must be (samples,) or (samples, outputs)")
    _refuse_infinite(targets, "targets", where)
    if len(targets) < 6:
        raise UsageError(f"{where}: {len(targets)} samples; R2 needs 6: two to train, two to validate, two to test")
    values = targets.astype(np.float32).reshape(len(targets), -1)
    same = np.flatnonzero(values.min(0) == values.max(0))
    if len(same):
        raise UsageError(f"{where}: output {same[0]} has the same target, {values[0, same[0]]:g}, in all samples")
    return values
