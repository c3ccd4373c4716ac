"""CIFAR-10: 60,000 colour images of 32x32 pixels, in 10 classes.

The archive ``cifar-10-python.tar.gz`` is looked for in ``--data-dir``, and else downloaded to the user's cache. Splits
and source: see ``spikefront.plugins.data.cifar``.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.archives import Archive
from spikefront.plugins.data.cifar import Cifar


class Cifar10(Cifar):
    """32x32 colour images of animals and vehicles in 10 classes; classification."""

    name = "cifar10"
    archive = Archive(
        "CIFAR-10",
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
    )
    train_files = tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
    test_file = "cifar-10-batches-py/test_batch"
    label = b"labels"
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(Cifar10)
