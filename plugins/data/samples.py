"""Samples in memory: what is given as two arrays or a data set is checked, put into one form and split.

Nothing is converted without need: bytes stay bytes, and what is mapped into memory is copied only where a split is cut
out. Classes may be given as text: they are numbered in the order of their sorted names.
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
_EXACT: Final = 1 << 53
_FAR: Final = 1000
"""A single-precision target of this size may be the same in all samples by rounding."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs and targets that belong together. Made by ``checked``.

    Attributes:
        inputs: features ``(N, F)``, sequences ``(N, L, F)`` or images ``(N, C, H, W)``, of any real dtype.
        targets: classes ``(N,)``, integers 0 to K - 1, or values ``(N, K)``, floats.
        names: names of the classes, by number; empty where they were given as numbers, and of values.
        columns: names of the features; empty where they have none.
    """

    inputs: Array
    targets: Array
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def classes(self) -> bool:
        """Whether the targets are classes."""
        return self.targets.ndim == 1

    def feature(self, number: int) -> str:
        """Return what a feature is called in messages."""
        return _feature(number, self.columns)

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


def checked(given: object, task: str, *, sequences: bool = False) -> Samples:
    """Check what a task reads.

    Args:
        given: two arrays, inputs ``(N, F)``, ``(N, H, W)`` or ``(N, C, H, W)`` and targets; or a data set with a
            length, whose items are pairs of one input and one target, such as a map-style torch ``Dataset``.
        task: the task's name, for messages.
        sequences: whether inputs are sequences, ``(N, L, F)`` or, of one feature, ``(N, L)``.

    Raises:
        UsageError: for lengths that differ, no samples, values that are no finite numbers, integers that float64 does
            not hold, inputs of another number of axes, targets that are neither classes nor values, and too few samples
            of a class.
    """
    where = f"task {task!r}"
    columns: tuple[str, ...] = ()
    if isinstance(given, tuple) and len(given) == 2:
        columns = _columns(given[0], where)
        try:
            inputs, targets = (_array(part) for part in given)
        except ValueError as error:  # lists of arrays of several lengths
            raise UsageError(f"{where}: samples of several shapes; all must have the same") from error
    else:
        inputs, targets = _stacked(given, where)
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.ndim == 0:
            raise UsageError(f"{where}: {name} must be an array with one entry per sample, not a single value")
    if len(inputs) != len(targets):
        raise UsageError(f"{where}: {len(inputs)} inputs but {len(targets)} targets")
    if len(inputs) == 0:
        raise UsageError(f"{where}: no samples")
    if sequences:
        inputs, columns = _checked_lengths(inputs, where), ()
    inputs = _checked_inputs(inputs, where, columns, sequences)
    if targets.dtype.kind in "OSTU":
        numbers, names = _numbered(targets, where)
        return Samples(inputs, _checked_classes(numbers, where, names), names, columns)
    return Samples(inputs, _checked_targets(targets, where), (), columns)


def _array(part: object) -> Array:
    if isinstance(part, torch.Tensor):
        part = part.detach().cpu()
        return part.numpy() if part.dtype != torch.bfloat16 else part.float().numpy()
    return np.asarray(part)


def _columns(frame: object, where: str) -> tuple[str, ...]:
    """Return the names of the columns of a pandas ``DataFrame``; none of anything else.

    An array of a frame of several dtypes is one of floats, so its integers are checked here.
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "items")):
        return ()
    names = tuple(map(str, frame.columns))
    for number, (_, column) in enumerate(frame.items()):
        if getattr(column.dtype, "kind", "") in "iu" and len(column):
            _refuse_inexact(_feature(number, names), int(column.min()), int(column.max()), where)
    return names


def _feature(number: int, columns: tuple[str, ...]) -> str:
    return f"feature {number} ({columns[number]})" if columns else f"feature {number}"


def _refuse_inexact(what: str, low: int, high: int, where: str) -> None:
    """Refuse integers that float64 rounds."""
    if max(-low, high) > _EXACT:
        raise UsageError(
            f"{where}: {what} has integers up to {max(low, high, key=abs)}, beyond 2^53, to which float64 is exact; "
            "subtract their least one, or leave them out if they are numbers of items"
        )


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


def _checked_lengths(inputs: Array, where: str) -> Array:
    """Return sequences as ``(N, L, F)``."""
    if inputs.dtype == object:
        raise UsageError(
            f"{where}: sequences of several lengths; give an array of one length, the short ones with their last point "
            "repeated, say"
        )
    shape = inputs.shape
    if inputs.ndim not in (2, 3) or 0 in shape[1:] or shape[1] == 1:
        raise UsageError(
            f"{where}: sequences of shape {shape}; they must be (samples, points, features) or (samples, points), of 2 "
            "points or more"
        )
    return inputs[..., None] if inputs.ndim == 2 else inputs


def _checked_inputs(inputs: Array, where: str, columns: tuple[str, ...], sequences: bool = False) -> Array:
    if inputs.dtype.kind not in "buif":
        times = "; times are numbers as (inputs - inputs.min()) / numpy.timedelta64(1, 's')"
        hint = times if inputs.dtype.kind in "mM" else ""
        raise UsageError(f"{where}: inputs of dtype {inputs.dtype}; they must be real numbers{hint}")
    if inputs.ndim == 3 and not sequences:  # grey images
        inputs = inputs[:, None]
    shape = inputs.shape[1:]
    if inputs.ndim not in ((3,) if sequences else (2, 4)) or 0 in shape:
        raise UsageError(
            f"{where}: inputs of shape {inputs.shape}; they must be (samples, features), (samples, height, width) or "
            "(samples, channels, height, width)"
        )
    if len(shape) == 3 and shape[2] in (1, 3, 4) and min(shape[:2]) > 4:
        raise UsageError(
            f"{where}: images of shape {shape} have their channels last; numpy.moveaxis(inputs, -1, 1) puts them first"
        )
    _refuse_infinite(inputs, "input values", where)
    if inputs.dtype.kind in "iu" and inputs.dtype.itemsize > 4:
        lows, highs = (np.atleast_1d(bound) for bound in _bounds(inputs))
        for number, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
            what = _feature(number, columns) if inputs.ndim < 4 else "an image"
            _refuse_inexact(what, low, high, where)
    return inputs


def _bounds(inputs: Array) -> tuple[Array, Array]:
    axis = None if inputs.ndim == 4 else tuple(range(inputs.ndim - 1))
    return inputs.min(axis), inputs.max(axis)


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
        f"{where}: targets of dtype {targets.dtype}; give classes as integers or text, or values as floats"
    )


def _numbered(targets: Array, where: str) -> tuple[Array, tuple[str, ...]]:
    """Return classes given as text by number, and their names, sorted."""
    if targets.ndim != 1:
        raise UsageError(f"{where}: text as targets must be one name per sample, not of shape {targets.shape}")
    labels = [name.decode(errors="replace") if isinstance(name, bytes) else name for name in targets.tolist()]
    for number, name in enumerate(labels):
        if not isinstance(name, str) or not name.strip():
            what = "is empty" if isinstance(name, str) else f"is {name!r:.40}, a {type(name).__name__}"
            raise UsageError(
                f"{where}: the target of sample {number} {what}; give classes as integers or text, or values as floats"
            )
    names = tuple(sorted(set(labels)))
    places = {name: number for number, name in enumerate(names)}
    return np.array([places[name] for name in labels], np.int64), names


def _checked_classes(targets: Array, where: str, names: tuple[str, ...] = ()) -> Array:
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
        only = repr(names[0]) if names else found[0]
        raise UsageError(f"{where}: all {len(labels)} targets are class {only}; there is nothing to tell apart")
    numbers = all(map(_is_number, names)) if names else found[-1] >= _MANY_CLASSES
    given = "text and integers are" if names else "integers are"
    hint = f"; {given} classes: give values to predict as floats" if numbers else ""
    if len(found) <= found[-1]:
        empty = int(np.setdiff1d(np.arange(len(found) + 1), found)[0])
        renumber = "numpy.unique(targets, return_inverse=True)[1] numbers them anew"
        raise UsageError(f"{where}: class {empty} of 0 to {found[-1]} has no samples; {hint[2:] or renumber}")
    if counts.min() < 3:
        few, count = int(counts.argmin()), int(counts.min())
        which = repr(names[few]) if names else few
        raise UsageError(
            f"{where}: class {which} has {count} sample{'s' * (count > 1)}, and needs 3: one to train, one to "
            f"validate, one to test{hint}"
        )
    return labels


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _checked_values(targets: Array, where: str) -> Array:
    if targets.ndim > 2 or targets.size == 0:
        raise UsageError(f"{where}: targets of shape {targets.shape}; values must be (samples,) or (samples, outputs)")
    _refuse_infinite(targets, "targets", where)
    if len(targets) < 6:
        raise UsageError(f"{where}: {len(targets)} samples; R2 needs 6: two to train, two to validate, two to test")
    values = targets.reshape(len(targets), -1)
    same = np.flatnonzero(values.min(0) == values.max(0))
    if len(same):
        value, dtype = values[0, same[0]], values.dtype
        hint = (
            f", which {dtype} holds to the nearest {np.spacing(abs(value)):g}: give float64"
            if abs(value) > _FAR
            else ""
        )
        hint = hint if dtype.itemsize < 8 else ""
        raise UsageError(f"{where}: output {same[0]} has the same target, {value:.15g}, in all samples{hint}")
    return values
