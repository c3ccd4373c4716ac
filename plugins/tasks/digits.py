"""Handwritten digits: 1,797 grey images of 8x8 pixels in 10 classes, shipped with scikit-learn; nothing is downloaded.

Split once, stratified by class, with a fixed seed: 64 % training, 16 % validation, 20 % test.

Source: UCI Machine Learning Repository, "Optical recognition of handwritten digits" test set (Alpaydin & Kaynak, 1998).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task, hookimpl

_SPLIT_SEED = 0


def _split() -> tuple[Data, Data, Data]:
    # imported here: it takes over a second, and workers get the data from the driver
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images).to(torch.uint8).view(-1, 1, 8, 8)
    targets = torch.from_numpy(labels).long()
    index = torch.arange(len(targets)).numpy()
    search, test = train_test_split(index, test_size=0.2, random_state=_SPLIT_SEED, stratify=labels)
    train, val = train_test_split(search, test_size=0.2, random_state=_SPLIT_SEED, stratify=labels[search])
    train_data, val_data, test_data = (Data(inputs[part], targets[part]) for part in (train, val, test))
    return train_data, val_data, test_data


class Digits(Task):
    """8x8 grey images of handwritten digits (scikit-learn); classification."""

    name = "digits"

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
