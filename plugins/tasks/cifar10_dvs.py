"""CIFAR10-DVS: 10,000 images of CIFAR-10, moved before an event camera of 128x128 pixels, in 10 classes.

There is no official split. As in TCJA's code, the first nine in ten recordings of each class, by name, train and the
others test; of the training ones, one in six of each class validates, which TCJA has not. Needs the extra ``events``.
The recordings lie in ``--data-dir`` as ``CIFAR10DVS/airplane/cifar10_airplane_0.aedat4``, or are downloaded by tonic.
**Not run on the real data**: it can't be had where this was written; the tests write files of the same format.

Source: Li, Liu, Ji, Li & Shi, "CIFAR10-DVS: an event-stream dataset for object classification", Frontiers in
Neuroscience 11 (2017).
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.tonic_files import TonicTask


class CIFAR10DVS(TonicTask):
    """Images of CIFAR-10 moved before an event camera, 128x128 pixels (needs the extra events); classification."""

    name = "cifar10-dvs"
    dataset = "CIFAR10DVS"
    size = (128, 128)
    held_out = "one in six training recordings of each class, at random; each image was recorded once"


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(CIFAR10DVS)
