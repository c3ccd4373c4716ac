"""Handwritten digits: 1,797 grey images of 8x8 pixels in 10 classes, shipped with scikit-learn; nothing is downloaded.

Split once, stratified by class, with a fixed seed: 64 % training, 16 % validation, 20 % test.

Source: UCI Machine Learning Repository, "Optical recognition of handwritten digits" test set (Alpaydin & Kaynak, 1998).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task, hookimpl
from spikefront.plugins.data.splits import Array, classes_of, split_each

_SPLIT_SEED = 0


def _read() -> tuple[Tensor, Tensor]:
    """Read images ``(N, 1, 8, 8)`` and labels ``(N,)`` from scikit-learn's file.

    Importing ``sklearn.datasets`` for it would take over a second, a tenth of the time until the first trial.
    """
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None, "scikit-learn is a dependency"
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    numbers = torch.from_numpy(table).to(torch.uint8)
    return numbers[:, :-1].reshape(-1, 1, 8, 8), numbers[:, -1].long()


def _split() -> tuple[Data, Data, Data]:
    """Return training, validation and test split, stratified by class."""
    inputs, targets = _read()
    generator = torch.Generator().manual_seed(_SPLIT_SEED)

    def permuted(members: Array) -> Array:
        chosen: Array = members[torch.randperm(len(members), generator=generator).numpy()]
        return chosen

    parts = split_each(classes_of(targets.numpy()), permuted, lambda count: ((count - count // 5) // 5, count // 5))
    train, validation, test = (Data(inputs[index], targets[index]) for index in parts)
    return train, validation, test


class Digits(Task):
    """8x8 grey images of handwritten digits (scikit-learn); classification."""

    name = "digits"
    held_out = "16 % of the images of each class, at random; who wrote a digit is not in the file"

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return ()

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        train, validation, _ = _split()
        return SearchData(train, validation, outputs=int(train.targets.max()) + 1)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return _split()[2]

    def prepare(self, batch: Tensor) -> Tensor:
        return batch.float() / 16  # pixels count 0 to 16


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(Digits)
