"""Images of clothes, to be generated: the images and splits of the task ``fashion-mnist``, their labels unseen.

Quality is the Fréchet distance in the features of a classifier of the training images (docs/generation.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.bases.generation import ImageGeneration
from spikefront.plugins.tasks.fashion_mnist import FashionMNIST


class FashionMNISTGeneration(ImageGeneration):
    """28x28 grey images of clothes; generation."""

    name = "fashion-mnist-generation"
    source = FashionMNIST
    held_out = FashionMNIST.held_out
    worst_quality = 600.0  # about that of the mean image
    features = Path(__file__).with_suffix(".npz")


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(FashionMNISTGeneration)
