"""Where files of data are looked for, and how deep their folders may lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from spikefront.searchspace import UsageError

DEEPEST: Final = 100
"""Most folders, one in the other, that data lie in."""


def refuse_deep(where: Path, folders: int) -> None:
    """Raise ``UsageError`` when in ``where`` so many folders lie, one in the other, as no data set has."""
    if folders > DEEPEST:
        raise UsageError(f"{where}: more than {DEEPEST} folders lie in it, one in the other; flatten or remove them")


def find_file(name: str, data_dir: Path | None, folders: Sequence[str], *, task: str, source: str) -> Path:
    """Return where a file lies that only the user can get: in ``data_dir``, or in one of its folders.

    Args:
        name: name of the file.
        data_dir: where the user keeps data.
        folders: names of folders in it.
        task: name of the task, for messages.
        source: what to take, and from where, in a few words.

    Raises:
        UsageError: when it is not there, or no folder is given.
    """
    if data_dir is None:
        raise UsageError(f"task {task!r}: give --data-dir the folder with {name}, {source}")
    for folder in (data_dir, *(data_dir / inner for inner in folders)):
        if os.path.isfile(folder / name):
            return folder / name
    raise UsageError(f"--data-dir {data_dir}: no {name} there, nor in its folder {' or '.join(folders)}; take {source}")
