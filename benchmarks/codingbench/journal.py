"""The journal of a generation: one line of JSON for each training, and one for each start."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from spikefront.searchspace import UsageError

NAME: Final = "journal.jsonl"


class Journal:
    """A file to which lines are appended, each of which is on the disk before the next training starts.

    A line that was cut short, by a kill or a full disk, is dropped at the next opening: at most the trainings that
    were running are lost.

    Args:
        folder: where the file is; made if there is none.

    Raises:
        UsageError: when another process has it open.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self._lock = FileLock(folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{folder}: another process is writing there") from None
        if self._path.exists():
            content = self._path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._path, whole)

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line, and wait until it is on the disk."""
        with self._path.open("ab") as file:
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def starts(folder: Path) -> list[dict[str, Any]]:
    """Return what was stored of each start: version, commit, machine, command."""
    return [line["start"] for line in _lines(folder) if "start" in line]


def trainings(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each training once."""
    seen = set()
    for line in _lines(folder):
        key = (line.get("task"), line.get("candidate"), line.get("seed"))
        if "start" not in line and key not in seen:
            seen.add(key)
            yield line


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    if (folder / NAME).exists():
        with (folder / NAME).open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)
