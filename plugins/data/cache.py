"""The cache of a node: arrays computed once from a data set, in files that all its trials map into memory.

A mapped array takes no memory of its own: all workers of a node see the same pages, which the system drops and reads
again as it needs room. So a data set may be larger than the memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import torch
from filelock import FileLock
from torch import Tensor

from spikefront.searchspace import UsageError, Value


def cached(name: str, key: Mapping[str, Value], make: Callable[[Path], None]) -> Path:
    """Return a folder of the user's cache that holds what ``make`` wrote, now or for an earlier caller.

    Other processes that want the same wait for the first. What a process left half made is made anew.

    Args:
        name: beginning of the folder's name: lower case, words joined by ``-``.
        key: all that the files depend on: the source (see ``fingerprint``), the settings, a version of the format.
        make: writes files into the folder that it is given.

    Raises:
        UsageError: when the cache can't be written.
    """
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(pooch.os_cache("spikefront")) / f"{name}-{digest}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _make(folder, make)
    except OSError as error:
        if error.filename is not None and not Path(error.filename).is_relative_to(folder.parent):
            raise UsageError(f"{error.filename}: {error.strerror or error}") from error  # what make reads
        raise UsageError(f"cache {folder.parent}: {error.strerror or error}; set XDG_CACHE_HOME to another") from error
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    for left in folder.parent.glob(f"{folder.name}.*.part"):  # by processes that were killed
        shutil.rmtree(left, ignore_errors=True)
    part = folder.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
    part.mkdir()
    try:
        make(part)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def fingerprint(path: Path) -> str:
    """Name the state of a file for a ``key``: where it is, its size, when it was changed."""
    about = path.stat()
    return f"{path.resolve()}:{about.st_size}:{about.st_mtime_ns}"


def new_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap[Any, np.dtype[Any]]:
    """Return a new array of zeros in a file, to be filled piece by piece: it need not fit into memory.

    Raises:
        OSError: when the disk has no room for all of it.
    """
    array: np.memmap[Any, np.dtype[Any]] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # the file has holes, and a write into one on a full disk kills the process
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


_mapped: dict[int, Path] = {}
"""Files that tensors of this process are mapped from, by where they lie in memory."""


def mapped(path: Path) -> Tensor:
    """Return the array of an ``.npy`` file as a tensor mapped into memory. Writing to it changes no file."""
    array = np.load(path, mmap_mode="c")
    tensor = torch.from_numpy(array)
    place = tensor.data_ptr()
    _mapped[place] = path
    weakref.finalize(array, _mapped.pop, place, None)  # the array lives as long as a tensor lies in it
    return tensor


def file_of(tensor: Tensor) -> Path | None:
    """Return the file that a tensor, or the one that it is a part of, is mapped from; None where it is not mapped."""
    return _mapped.get(tensor.untyped_storage().data_ptr())
