"""Which images of a folder belong to which class and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spikefront.plugins.data.images import SUFFIXES, Source, is_image
from spikefront.searchspace import UsageError

_SEED: Final = 0
_VALIDATION: Final = ("val", "valid", "validation")

Labelled = Sequence[tuple[str, int]]
"""Names of images with the numbers of their classes."""

_Members = dict[str, list[str]]  # names of images by class


@dataclass(frozen=True, slots=True)
class Layout:
    """Images by split, in a random but fixed order.

    Attributes:
        classes: names of the classes, sorted; their places are their numbers.
    """

    classes: tuple[str, ...]
    train: Labelled
    validation: Labelled
    test: Labelled


def read_layout(source: Source) -> Layout:
    """Return the images of a folder or zip by class and split. ``tasks/image_folder.py`` says which layouts are known.

    Raises:
        UsageError: when there are fewer than two classes, a class has no image, a split has a class that training has
            not, or there is nothing for a split.
    """
    names = [name for name, _ in source.names() if name.endswith("/") or is_image(name)]
    root = _root(names)
    splits = {name: _classes(source, names, f"{root}{name}/") for name in ("train", *_VALIDATION, "test")}
    given = [splits[name] for name in _VALIDATION if splits[name]]
    if len(given) > 1:
        raise UsageError(f"{source.path}: it has {' and '.join(v for v in _VALIDATION if splits[v])}; keep one of them")
    train = splits["train"] or _classes(source, names, root)
    if len(train) < 2:
        raise UsageError(
            f"{source.path}: {len(train)} folders of images; classification needs a folder for each of 2 or more "
            f"classes, below it or its train, with files that end in {', '.join(sorted(SUFFIXES))}"
        )
    rng = np.random.default_rng(_SEED)
    validation, test = (given or [{}])[0], splits["test"]
    fewest = 10 if test or validation else 6  # images of a class of which one validates
    if not test and not validation:
        test, train = _cut(train, 5, rng)
        validation, train = _cut(train, 5, rng)
    elif not test:
        test, validation = validation, {}
    if not validation:
        validation, train = _cut(train, 10, rng)
    for name, members in (("validation", validation), ("test", test)):
        _check_split(source, name, members, train, fewest)
    classes = tuple(sorted(train))
    return Layout(classes, *(_labelled(part, classes, rng) for part in (train, validation, test)))


def _root(names: Sequence[str]) -> str:
    """Return the folder that holds splits or classes: below folders that hold one folder and no image each."""
    root = ""
    while True:
        inside = {name[len(root) :].partition("/")[0] + "/" for name in names if name.startswith(root) and name != root}
        below = root + min(inside, default="")
        alone = len(inside) == 1 and below in names and below != f"{root}train/"
        if not alone or not any(name.startswith(below) and name.endswith("/") and name != below for name in names):
            return root
        root = below


def _classes(source: Source, names: Sequence[str], prefix: str) -> _Members:
    """Return the images below each folder that lies in ``prefix``; nothing if it has no folders.

    Raises:
        UsageError: when there is no image below one.
    """
    members: _Members = {}
    for name in names:
        label, inside, _ = name.removeprefix(prefix).partition("/")
        if name.startswith(prefix) and inside:
            images = members.setdefault(label, [])
            if not name.endswith("/"):
                images.append(name)
    for label, images in members.items():
        if not images:
            raise UsageError(f"{source.path}: no image in {prefix}{label}; fill or remove that class")
    return members


def _cut(members: Mapping[str, list[str]], share: int, rng: np.random.Generator) -> tuple[_Members, _Members]:
    """Return one in ``share`` images of each class, rounded down, and the rest."""
    cut, rest = {}, {}
    for label, images in sorted(members.items()):
        order = rng.permutation(len(images))
        chosen = set(order[: len(images) // share].tolist())
        cut[label] = [name for number, name in enumerate(images) if number in chosen]
        rest[label] = [name for number, name in enumerate(images) if number not in chosen]
    return cut, rest


def _check_split(source: Source, name: str, members: _Members, train: _Members, fewest: int) -> None:
    if not any(members.values()):
        raise UsageError(f"{source.path}: too few images for a {name} split; some class needs {fewest} or more")
    strange = sorted(members.keys() - train.keys())
    if strange:
        raise UsageError(
            f"{source.path}: class {strange[0]!r} is in the {name} split but not in training; remove it, or train on it"
        )


def _labelled(members: Mapping[str, list[str]], classes: Sequence[str], rng: np.random.Generator) -> Labelled:
    # the first samples of a split stand for all where operations are counted
    images = [(name, number) for number, label in enumerate(classes) for name in members.get(label, ())]
    return [images[number] for number in rng.permutation(len(images))]
