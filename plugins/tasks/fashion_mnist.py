"""Fashion-MNIST: 70,000 grey images of clothes, 28x28 pixels, in 10 classes.

The last sixth of the official training images (10,000) is the validation split; the official test images are the test
split. Files are looked for in ``--data-dir``, then in the folder of Debian's package ``dataset-fashion-mnist``, then
downloaded to the user's cache with their published checksums.

Source: Xiao, Rasul & Vollgraf, "Fashion-MNIST", arXiv 1708.07747 (2017). MIT licence.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pooch
import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task, hookimpl
from spikefront.searchspace import UsageError

DEBIAN_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
_URL: Final = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_MD5: Final = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}

_CLASSES: Final = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_PIECE: Final = 1 << 20
_LARGEST: Final = 1 << 30
"""Most bytes of an array: twenty times that of the published images."""
_MOST_AXES: Final = 8
_VALIDATION_SHARE: Final = 6


def locate(name: str, data_dir: Path | None) -> Path:
    """Return where one of the four files lies, or would lie in the user's cache.

    Raises:
        UsageError: when it is not in ``data_dir``.
    """
    if data_dir is not None:
        for folder in (data_dir, data_dir / "fashion-mnist"):
            for path in (folder / name, folder / name.removesuffix(".gz")):
                if os.path.isfile(path):
                    return path
        raise UsageError(f"--data-dir {data_dir}: no {name} there, nor in its folder fashion-mnist")
    if (DEBIAN_FOLDER / name).is_file():
        return DEBIAN_FOLDER / name
    return Path(pooch.os_cache("spikefront")) / name


def find(name: str, data_dir: Path | None) -> Path:
    """Return the path of one of the four files, which is downloaded where it is not there.

    Raises:
        UsageError: when it is not in ``data_dir``, or can neither be found nor downloaded.
    """
    path = locate(name, data_dir)
    if data_dir is not None or path.parent == DEBIAN_FOLDER:
        return path
    try:
        return Path(pooch.retrieve(_URL + name, f"md5:{_MD5[name]}", fname=name, path=pooch.os_cache("spikefront")))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Fashion-MNIST: {name} can't be downloaded ({type(error).__name__}); install Debian's package "
            "dataset-fashion-mnist, or give --data-dir the folder with the four files"
        ) from error


def read_idx(path: Path) -> Tensor:
    """Read one IDX file of bytes, gzipped or not.

    Raises:
        UsageError: when the file is damaged, cut short, larger than 1 GiB unpacked, or no IDX file of bytes.
    """
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != b"\x00\x00\x08":
                raise UsageError(f"{path}: no IDX file of bytes (it must start with 00 00 08)")
            header = start + file.read(4 * start[3])
            dimensions = start[3] if len(header) == 4 + 4 * start[3] else 0
            shape = struct.unpack(f">{dimensions}I", header[4 : 4 + 4 * dimensions])
            claimed = math.prod(shape)
            if claimed > _LARGEST or dimensions > _MOST_AXES:
                raise UsageError(f"{path}: it claims an array of {dimensions} axes and {claimed} bytes; fetch it again")
            content = bytearray()
            while len(content) <= claimed and (piece := file.read(min(_PIECE, claimed + 1 - len(content)))):
                content += piece
            read = len(header) + len(content) if packed else path.stat().st_size
    except UsageError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UsageError(f"{path}: not readable as gzip ({error})") from error
    if read != len(header) + claimed or dimensions != start[3]:
        raise UsageError(f"{path}: cut short or too long: {read} bytes for an array of shape {shape}")
    return torch.from_numpy(np.frombuffer(content, np.uint8).reshape(shape))


class FashionMNIST(Task):
    """28x28 grey images of clothes; classification."""

    name = "fashion-mnist"
    held_out = "the last 10,000 of the official 60,000 training images"

    def _read(self, part: str, data_dir: Path | None) -> Data:
        paths = [find(f"{part}-{what}-ubyte.gz", data_dir) for what in ("images-idx3", "labels-idx1")]
        images, labels = map(read_idx, paths)
        for path, array, axes in zip(paths, (images, labels), (3, 1), strict=True):
            if array.dim() != axes or 0 in array.shape:
                raise UsageError(
                    f"{path}: an array of shape {tuple(array.shape)}, and must have {axes} axes; fetch it again"
                )
        if len(images) != len(labels):
            raise UsageError(f"Fashion-MNIST {part}: {len(images)} images but {len(labels)} labels")
        return Data(images.unsqueeze(1), labels.long())

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return [locate(name, data_dir) for name in _MD5]

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        data = self._read("train", data_dir)
        if len(data) < _VALIDATION_SHARE:
            raise UsageError(
                f"Fashion-MNIST train: {len(data)} images; {_VALIDATION_SHARE} or more give a validation split"
            )
        cut = len(data) - len(data) // _VALIDATION_SHARE
        train = Data(data.inputs[:cut], data.targets[:cut])
        validation = Data(data.inputs[cut:], data.targets[cut:])
        outputs = int(data.targets.max()) + 1
        return SearchData(train, validation, outputs, _CLASSES if outputs == len(_CLASSES) else ())

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return self._read("t10k", data_dir)

    def prepare(self, batch: Tensor) -> Tensor:
        return batch.float() / 255


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(FashionMNIST)
