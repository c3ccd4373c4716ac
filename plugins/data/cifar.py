"""CIFAR: 50,000 and 10,000 colour images of 32x32 pixels, in archives of pickled arrays.

The last tenth of each class of the official training images (5,000 in all) is the validation split; the official test
images are the test split.

Source: Krizhevsky, "Learning multiple layers of features from tiny images", technical report, University of Toronto
(2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from spikefront.plugins.contracts.task import Data, SearchData, Task
from spikefront.plugins.data.archives import Archive, read_members, read_pickle
from spikefront.searchspace import UsageError

_PIXELS: Final = (3, 32, 32)
_CLASSES: Final = 100


class Cifar(Task):
    """Base of both data sets.

    Attributes:
        archive: where the images are.
        train_files: names of the training files in the archive.
        test_file: name of the test file.
        label: key of the labels in a file.
        class_names: names of the published classes.
    """

    archive: ClassVar[Archive]
    train_files: ClassVar[Sequence[str]]
    test_file: ClassVar[str]
    label: ClassVar[bytes]
    class_names: ClassVar[tuple[str, ...]]
    held_out = "the last tenth of each class of the official training images"

    def _read(self, names: Sequence[str], data_dir: Path | None) -> Data:
        path = self.archive.find(data_dir, self.name)
        parts = [
            read_batch(content, self.label, f"{path}: {name}")
            for name, content in zip(names, read_members(path, names), strict=True)
        ]
        return Data(torch.cat([part.inputs for part in parts]), torch.cat([part.targets for part in parts]))

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return (self.archive.locate(data_dir, self.name),)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        data = self._read(self.train_files, data_dir)
        validates = last_of_each_class(data.targets, 10)
        train, validation = (Data(data.inputs[part], data.targets[part]) for part in (~validates, validates))
        outputs = int(data.targets.max()) + 1
        return SearchData(train, validation, outputs, self.class_names if outputs == len(self.class_names) else ())

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return self._read([self.test_file], data_dir)

    def prepare(self, batch: Tensor) -> Tensor:
        return batch.float() / 255


def last_of_each_class(targets: Tensor, share: int) -> Tensor:
    """Return a mask ``(N,)`` of the last samples of each class: one in ``share`` of its samples, rounded down."""
    chosen = torch.zeros(len(targets), dtype=torch.bool)
    for label in targets.unique():
        members = (targets == label).nonzero().flatten()
        chosen[members[len(members) - len(members) // share :]] = True
    return chosen


def read_batch(content: bytes, label: bytes, where: str) -> Data:
    """Read one file of an archive: images ``(N, 3, 32, 32)`` of bytes and labels ``(N,)``.

    Args:
        content: the file, a pickled dictionary.
        label: key of its labels.
        where: what to call it in messages.

    Raises:
        UsageError: when it is damaged or holds something else.
    """
    batch = read_pickle(content, where)
    if not isinstance(batch, dict) or b"data" not in batch or label not in batch:
        raise UsageError(f"{where}: no dictionary with data and {label.decode()}")
    images, labels = batch[b"data"], batch[label]
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (int(np.prod(_PIXELS)),):
        raise UsageError(f"{where}: its data are no bytes of shape (N, {int(np.prod(_PIXELS))})")
    if not isinstance(labels, list) or not all(type(item) is int and 0 <= item < _CLASSES for item in labels):
        raise UsageError(f"{where}: its {label.decode()} are no list of numbers from 0 to {_CLASSES - 1}")
    if len(images) != len(labels) or not labels:
        raise UsageError(f"{where}: {len(images)} images but {len(labels)} labels")
    return Data(torch.from_numpy(images.copy()).reshape(-1, *_PIXELS), torch.tensor(labels))
