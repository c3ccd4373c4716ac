"""Digests of data: names for the content of tensors, by all of their bytes.

That of a tensor in memory is computed once per process, and that of a file that is mapped from the node's cache once
per node: it is stored beside the file.
"""

from __future__ import annotations

import hashlib
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch
from filelock import FileLock
from torch import Tensor

from spikefront.plugins.data.cache import file_of
from spikefront.searchspace.targets import replaced

_PIECE: Final = 1 << 24
_known: dict[int, tuple[weakref.ref[Tensor], int, str]] = {}


def digest_of(tensor: Tensor) -> str:
    """Return a name for dtype, shape and content of a tensor, which no other content has.

    Tensors in memory have the name of equal ones, on any machine and device; those mapped from a file, that of the same
    part of an equal file.

    Args:
        tensor: of any dtype and size. What is written to it is seen, but not what is written to a NumPy array that
            shares its memory.
    """
    found = _known.get(id(tensor))
    if found is not None and found[0]() is tensor and found[1] == tensor._version:
        return found[2]
    path = None if tensor._version else file_of(tensor)
    whole = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    if path is None:
        _update(whole, tensor)
    else:
        place = f"{tensor.storage_offset()} {tensor.stride()}"
        whole.update(f"{place} {file_digest(path)}".encode())
    digest = whole.hexdigest()
    number = id(tensor)
    _known[number] = (weakref.ref(tensor, lambda _: _known.pop(number, None)), tensor._version, digest)
    return digest


def _update(whole: hashlib._Hash, tensor: Tensor) -> None:
    """Update a hash with the bytes of a tensor, piece by piece: it may be larger than the memory, or on a GPU."""
    rows = tensor.detach().reshape(1) if tensor.dim() == 0 else tensor.detach()
    size = max(1, rows[:1].numel() * rows.element_size())
    for part in rows.split(max(1, _PIECE // size)):
        whole.update(part.cpu().contiguous().view(torch.uint8).numpy().data)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file of the node's cache; it is computed once, and anew where the file has changed."""
    about = path.stat()
    state, beside = f"{about.st_size} {about.st_mtime_ns}", path.with_name(f"{path.name}.sha256")
    with suppress(OSError, ValueError):
        before, digest = beside.read_text(encoding="ascii").rsplit(" ", 1)
        if before == state:
            return digest
    try:
        with FileLock(beside.with_suffix(".lock")):  # the other processes of the node wait
            with suppress(OSError, ValueError):
                before, digest = beside.read_text(encoding="ascii").rsplit(" ", 1)
                if before == state:
                    return digest
            digest = _computed(path)
            with replaced(beside) as part:
                part.write_text(f"{state} {digest}", encoding="ascii")
    except OSError:  # a cache that can't be written to
        digest = _computed(path)
    return digest


def _computed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
