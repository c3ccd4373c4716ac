"""Handwritten digits, to be generated: the images and splits of the task ``digits``, their labels unseen.

Quality is the Fréchet distance in the features of a classifier of the training images (docs/generation.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.bases.generation import ImageGeneration
from spikefront.plugins.tasks.digits import Digits


class DigitsGeneration(ImageGeneration):
    """8x8 grey images of handwritten digits (scikit-learn); generation."""

    name = "digits-generation"
    source = Digits
    held_out = Digits.held_out
    worst_quality = 170.0  # about that of the mean image
    features = Path(__file__).with_suffix(".npz")


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(DigitsGeneration)
