"""N-Caltech101: 8,709 images of objects before a moving event camera, at most 240x180 pixels, in 101 classes.

Recorded and stored as N-MNIST is, so that nothing but this package is needed. There is no official split: as in TCJA's
code, the first nine in ten recordings of each class, by name, train and the others test; of the training ones, one in
six of each class validates, which TCJA has not. Looked for in ``--data-dir`` and its folder ``n-caltech101``, as the
folder ``Caltech101/<class>/<name>.bin`` or the zip ``Caltech101.zip`` of the official download. **Not run on the real
data**: it can't be had where this was written.

Source: Orchard, Jayawant, Cohen & Thakor, "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 9 (2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.event_tasks import BinTask, PooledConfig
from spikefront.plugins.data.recordings import Part, find_part
from spikefront.searchspace import UsageError

_FOLDER: Final = "Caltech101"
_PAGE: Final = "https://data.mendeley.com/datasets/cy6cvx3ryv"


class NCaltech101(BinTask):
    """Objects seen by a moving event camera, at most 240x180 pixels; classification."""

    name = "n-caltech101"
    Config = PooledConfig
    config: PooledConfig
    source = "n-caltech101"
    size = (180, 240)
    held_out = "one in six training recordings of each class, at random; each image was recorded once"

    def part(self, name: str, data_dir: Path | None) -> Part:
        if data_dir is None:
            raise UsageError(f"task {self.name!r}: give --data-dir the folder with {_FOLDER}.zip, from {_PAGE}")
        found = find_part(_FOLDER, data_dir, ("n-caltech101",))
        if found is None:
            raise UsageError(
                f"--data-dir {data_dir}: no recordings {_FOLDER}/<class>/<name>.bin there, nor in its folder "
                "n-caltech101, neither in folders nor in a zip"
            )
        return replace(found, share=name)


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(NCaltech101)
