"""N-MNIST: 60,000 training and 10,000 test recordings of handwritten digits by an event camera of 34x34 pixels.

The camera looks at a digit on a screen while three saccades turn it along a triangle, about 100 ms each. One in six
training recordings of each class validates. Looked for in ``--data-dir`` and its folders ``n-mnist`` and ``N-MNIST``,
as folders ``Train`` and ``Test``, as the zips of the official download, or as one zip of both; else downloaded to the
user's cache with the checksums that the tonic library publishes.

Source: Orchard, Jayawant, Cohen & Thakor, "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 9 (2015). Licence CC BY-SA 4.0.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pooch

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.event_tasks import BinTask
from spikefront.plugins.data.recordings import Part, find_part
from spikefront.searchspace import UsageError

FOLDERS: Final = ("n-mnist", "N-MNIST")
_URL: Final = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/{}/file_downloaded"
_DOWNLOADS: Final = {
    "Train": ("39c25547-014b-4137-a934-9d29fa53c7a0", "20959b8e626244a1b502305a9e6e2031"),
    "Test": ("05a4d654-7e03-4c15-bdfa-9bb2bcbea494", "69ca8762b2fe404d9b9bad1103e97832"),
}


def _cache() -> Path:
    return Path(pooch.os_cache("spikefront")) / FOLDERS[0]


def locate(name: str, data_dir: Path | None) -> Path:
    """Return where ``Train`` or ``Test`` lies, or would lie in the user's cache.

    Raises:
        UsageError: when it is not in ``data_dir``.
    """
    return _cache() / f"{name}.zip" if data_dir is None else find(name, data_dir).path


def find(name: str, data_dir: Path | None) -> Part:
    """Return where ``Train`` or ``Test`` lies.

    Raises:
        UsageError: when it is not in ``data_dir``, or can neither be found nor downloaded.
    """
    if data_dir is not None:
        found = find_part(name, data_dir, FOLDERS)
        if found is None:
            raise UsageError(
                f"--data-dir {data_dir}: no recordings {name}/<digit>/<number>.bin there, nor in its folder "
                f"{' or '.join(FOLDERS)}, neither in folders nor in a zip"
            )
        return found
    identifier, checksum = _DOWNLOADS[name]
    try:
        path = pooch.retrieve(_URL.format(identifier), f"md5:{checksum}", fname=f"{name}.zip", path=_cache())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"N-MNIST: {name}.zip can't be downloaded ({type(error).__name__}); give --data-dir the folder that has it"
        ) from error
    return Part(Path(path), name)


class NMNIST(BinTask):
    """Handwritten digits seen by a moving event camera, 34x34 pixels; classification."""

    name = "n-mnist"
    source = "n-mnist"
    size = (34, 34)
    held_out = "one in six training recordings of each class, at random; who wrote a digit is not in the files"

    def locate(self, part: str, data_dir: Path | None) -> Path:
        return locate(part, data_dir)

    def part(self, name: str, data_dir: Path | None) -> Part:
        return find(name, data_dir)


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(NMNIST)
