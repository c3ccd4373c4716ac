"""Files that are written whole or not at all, and how deep folders may lie."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spikefront.searchspace import UsageError

DEEPEST: Final = 100
"""Most folders, one in the other, that data lie in."""


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


def refuse_deep(where: Path, folders: int) -> None:
    """Raise ``UsageError`` when in ``where`` so many folders lie, one in the other, as no data set has."""
    if folders > DEEPEST:
        raise UsageError(f"{where}: more than {DEEPEST} folders lie in it, one in the other; flatten or remove them")
