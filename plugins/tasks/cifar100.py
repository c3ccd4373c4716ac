"""CIFAR-100: 60,000 colour images of 32x32 pixels, in 100 classes.

The archive ``cifar-100-python.tar.gz`` is looked for in ``--data-dir``, and else downloaded to the user's cache. Its
fine labels are learnt, not the 20 coarse ones. Splits and source: see ``spikefront.plugins.data.cifar``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.archives import Archive
from spikefront.plugins.data.cifar import Cifar

_CLASSES: Final = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip


class Cifar100(Cifar):
    """32x32 colour images in 100 classes; classification."""

    name = "cifar100"
    archive = Archive(
        "CIFAR-100",
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
    )
    train_files = ("cifar-100-python/train",)
    test_file = "cifar-100-python/test"
    label = b"fine_labels"
    class_names = _CLASSES


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(Cifar100)
