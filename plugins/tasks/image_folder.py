"""Images of your own: one folder per class, in a folder or a zip.

The layouts that are known, below ``--data-dir`` (folders around them are passed through):

- ``train/<class>/*``, ``val/<class>/*``, ``test/<class>/*``: as they are (``valid`` and ``validation`` are ``val``);
- without ``test``, or with one that has no class folders, as ImageNet's: ``val`` is the test split, and a tenth of each
  class of ``train``, drawn once with a fixed seed, is the validation split;
- without ``val``: the validation split is drawn likewise;
- ``<class>/*``, or ``train`` alone: 64 % training, 16 % validation and 20 % test, of each class, drawn likewise.

Number of classes and of channels are read off the data: grey if all images of training and validation are, else RGB.
Images are scaled and cut to squares once, by a pool of threads, into a file that all
trials of a node map into memory; neither making nor using it needs memory that grows with the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spikefront.plugins import Data, Generator, SearchData, Task, hookimpl
from spikefront.plugins.data.cache import cached, mapped, new_array
from spikefront.plugins.data.image_layout import Labelled, Layout, read_layout
from spikefront.plugins.data.images import Source, is_grey, of_any_size, open_source, pixels
from spikefront.searchspace import PINNED, Int, UsageError

_FORMAT: Final = 3
_DARK: Final = 32  # of 255
_WORTH_A_LINE: Final = 10_000  # images whose scaling is announced: it takes more than some seconds

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ImageFolderConfig:
    """How the images are read."""

    size: Annotated[int, Int(8, 1024), PINNED] = 32
    """Height and width to which the images are scaled and cut, in pixels."""


class ImageFolder(Task):
    """Images of your own, in one folder per class; classification."""

    name = "image-folder"
    Config = ImageFolderConfig
    mapped = True
    held_out = "your folder val; without one a tenth, or 16 %, of the images of each class, at random"

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        source = _source(data_dir)
        read_layout(source)  # a folder of other data has none
        return (source.path,)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        return self._search_data(_source(data_dir))

    def _search_data(self, source: Source) -> SearchData:
        folder = cached(self.name, self._key(source, "search"), lambda folder: self._make_search(source, folder))
        targets = mapped(folder / "targets.npy")
        inputs, count = mapped(folder / "inputs.npy"), int(np.load(folder / "train.npy"))
        classes = tuple(json.loads((folder / "classes.json").read_text(encoding="utf-8")))
        train, validation = Data(inputs[:count], targets[:count]), Data(inputs[count:], targets[count:])
        return SearchData(train, validation, len(classes), classes)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        source = _source(data_dir)
        channels = self._search_data(source).train.inputs.shape[1]

        def make(folder: Path) -> None:
            self._write(source, read_layout(source).test, channels, folder)

        folder = cached(self.name, self._key(source, "test"), make)
        return Data(mapped(folder / "inputs.npy"), mapped(folder / "targets.npy"))

    def prepare(self, batch: Tensor) -> Tensor:
        return batch.float() / 255

    def measure(self, network: Generator, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the accuracy, and ``balanced_accuracy``: its mean over the classes, which weighs rare ones alike."""
        right = (output.argmax(1) == targets).to(torch.float64)
        recalls = [right[targets == label].mean() for label in targets.unique()]
        return {"quality": self.score(output, targets), "balanced_accuracy": float(torch.stack(recalls).mean())}

    def _key(self, source: Source, part: str) -> dict[str, str | int]:
        state = hashlib.sha256()
        try:
            for name, mark in source.names():
                state.update(f"{name}\0{mark}\n".encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise UsageError(f"{error.filename}: {error.strerror}") from error
        path = str(source.path.resolve())
        return {"path": path, "state": state.hexdigest(), "size": self.config.size, "part": part, "format": _FORMAT}

    def _make_search(self, source: Source, folder: Path) -> None:
        layout: Layout = read_layout(source)
        both = [*layout.train, *layout.validation]
        with of_any_size():
            grey = all(is_grey(source, name) for name, _ in both)
        self._write(source, both, 1 if grey else 3, folder)
        np.save(folder / "train.npy", len(layout.train))
        (folder / "classes.json").write_text(json.dumps(layout.classes), encoding="utf-8")

    def _write(self, source: Source, images: Labelled, channels: int, folder: Path) -> None:
        size: int = self.config.size
        if len(images) >= _WORTH_A_LINE:
            print(f"image-folder: scaling {len(images):,} images to {size}x{size}, once", file=sys.stderr)
        array = new_array(folder / "inputs.npy", (len(images), channels, size, size), "uint8")
        spread, most = np.empty((2, len(images)), np.uint8)

        def write(number: int) -> None:
            array[number] = image = pixels(source, images[number][0], size, channels)
            spread[number], most[number] = np.ptp(image, axis=(1, 2)).max(), image.max()

        with of_any_size():
            _for_all(len(images), write)
        array.flush()
        _say_contrast(source, [name for name, _ in images], spread, most)
        np.save(folder / "targets.npy", np.array([label for _, label in images], np.int64))


def _say_contrast(source: Source, names: Sequence[str], spread: Array, most: Array) -> None:
    """Print a line where images show nothing: those of one value, or all of them if they are dark."""
    flat = np.flatnonzero(spread == 0)
    if len(flat):
        count = "all" if len(flat) == len(names) else f"{len(flat):,} of"
        print(
            f"image-folder: {source.path}: {count} {len(names):,} images have no contrast, all pixels of each are "
            f"alike, such as {names[flat[0]]}",
            file=sys.stderr,
        )
    if most.max() < _DARK:
        print(
            f"image-folder: {source.path}: no pixel of {len(names):,} images is brighter than {most.max()} of 255; "
            "files of 16 bits must use all of them",
            file=sys.stderr,
        )


def _source(data_dir: Path | None) -> Source:
    if data_dir is None:
        raise UsageError("image-folder: --data-dir must name the folder or zip with one folder of images per class")
    return open_source(data_dir)


def _for_all(count: int, do: Callable[[int], None]) -> None:
    """Call ``do`` with each number below ``count``, in as many threads as there are cores; the first error ends all."""
    threads = len(os.sched_getaffinity(0))
    ended = threading.Event()

    def share(first: int) -> None:
        try:
            for number in range(first, count, threads):
                if ended.is_set():
                    return
                do(number)
        except BaseException:
            ended.set()
            raise

    with ThreadPoolExecutor(threads) as pool:
        try:
            for _ in pool.map(share, range(threads)):
                pass
        finally:
            ended.set()  # also when interrupted


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(ImageFolder)
