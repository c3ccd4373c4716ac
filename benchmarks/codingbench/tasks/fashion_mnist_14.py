"""Small Fashion-MNIST: images of 14x14 pixels, the mean of each 2x2 of the original's, 2,000 of them for training.

Training images are the first 2,000 of Fashion-MNIST's training split, validation images the first 1,000 of its
validation split, test images the first 2,000 official ones. Files are found as those of ``fashion-mnist`` are.

Source: Xiao, Rasul & Vollgraf, "Fashion-MNIST", arXiv 1708.07747 (2017). MIT licence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from spikefront.plugins import Data, SearchData, Task, hookimpl
from spikefront.plugins.tasks.fashion_mnist import FashionMNIST

TRAINING, VALIDATION, TEST = 2000, 1000, 2000


class FashionMNIST14(FashionMNIST):
    """14x14 grey images of clothes; classification."""

    name = "fashion-mnist-14"
    held_out = "1,000 of the official 60,000 training images"

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        data = super().search_data(data_dir, steps)
        return replace(data, train=_halved(data.train, TRAINING), validation=_halved(data.validation, VALIDATION))

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return _halved(super().test_data(data_dir, steps), TEST)


def _halved(data: Data, count: int) -> Data:
    """Return the first samples, their images at half the size, rounded to whole grey levels."""
    images = nn.functional.avg_pool2d(data.inputs[:count].float(), 2).round().to(data.inputs.dtype)
    return Data(images, data.targets[:count].clone())


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(FashionMNIST14)
