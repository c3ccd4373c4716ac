"""Files that are written: checked before anything is read, and written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spikefront.searchspace.errors import UsageError

_LONGEST_NAME: Final = 255
"""Bytes of a file's name, on every file system in use."""


def check_target(file: Path | str, what: str = "--to", *, todo: str = "choose another", beside: str = "") -> None:
    """Raise ``UsageError`` where a file can't be written; leave nothing.

    Args:
        file: the file to write. If it exists, it must be a regular file, or a link to one.
        what: how messages begin, such as ``--to`` or ``report``.
        todo: the cure that they end with.
        beside: the longest ending of what is written beside it, such as ``.part``.
    """
    file = Path(file)
    if os.path.isdir(file):
        raise UsageError(f"{what} {file} is a folder; name a file in it, for example {file / f'1{file.suffix}'}")
    if os.path.lexists(file) and not os.path.isfile(file):
        raise UsageError(f"{what} {file} is neither a regular file nor a new name; {todo}")
    if not os.path.isdir(file.parent):
        raise UsageError(f"{what} {file}: folder {file.parent} does not exist; create it or {todo}")
    if len(os.fsencode(file.name + beside)) > _LONGEST_NAME:
        raise UsageError(f"{what} {file}: its name is too long; {todo}")
    if (os.path.exists(file) and not os.access(file, os.W_OK)) or not is_writable(file.parent):
        raise UsageError(f"{what} {file} can't be written; {todo}")


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder.

    One is made for a moment: permissions alone say yes to root, also of what holds no files, such as ``/proc``.
    """
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".spikefront-", dir=folder))
    except OSError:
        return False
    return True


def obstacle(folder: Path) -> Path | None:
    """Return what keeps a folder from being made or written, itself or what is above it; None where nothing does."""
    whole = folder.absolute()
    above = next(parent for parent in (whole, *whole.parents) if os.path.lexists(parent))
    return None if is_writable(above) else above


@contextmanager
def replaced(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """Yield the file to write, in the same folder, and rename it to ``path`` at the end; delete it after an exception.

    Args:
        path: the file to replace or to create.
        unique: whether several processes may write at the same time, so that each needs a file of its own.
    """
    part = path.with_name(f"{path.stem}.{uuid.uuid4().hex[:8]}.part" if unique else f"{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
