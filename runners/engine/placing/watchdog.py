"""Time limits that end a hanging worker, and the place where it hung."""

from __future__ import annotations

import faulthandler
import os
import re
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import torch

_LONGEST_S: Final = 1e9
_STDERR: Final = 2
_TIMEOUT: Final = re.compile(r"^Timeout \(", re.MULTILINE)
_WATCHED: Final = re.compile(r"^Watched: (0x[0-9a-f]+)$", re.MULTILINE)
_THREAD: Final = re.compile(r"^(?:Current t|T)hread (0x[0-9a-f]+)")
_FRAME: Final = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')
_LIBRARY: Final = os.path.join(sysconfig.get_path("stdlib"), "")
_TORCH: Final = tuple(os.path.join(folder, "") for folder in torch.__path__)


class Watchdog:
    """A time limit after which this process ends, even in C code that keeps Python's lock.

    Args:
        path: file for the reason and all stacks; every node must see it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def limit(self, seconds: float, reason: str) -> Iterator[None]:
        """Limit the time of the body.

        Args:
            seconds: above 0. After them the process exits with code 1, and no open file is closed.
            reason: first line of the file, in this case.
        """
        file = self._open(reason)
        # C code uses the file's descriptor, so it must stay open
        faulthandler.dump_traceback_later(min(seconds, _LONGEST_S), exit=True, file=file or _STDERR)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            if file is not None:
                file.close()
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def _open(self, reason: str) -> IO[str] | None:
        """Return a file that begins with reason and thread; None if it can't be written: the limit holds too."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("w")
        except OSError:
            return None
        with suppress(OSError):
            print(reason, f"Watched: {threading.get_ident():#x}", sep="\n", file=file, flush=True)
        return file


def hang_file(checkpoint: Path) -> Path:
    """Return the watchdog's file of a trial, in the folder of its checkpoint."""
    return checkpoint.with_suffix(".hang")


def reason_of_hang(path: Path) -> str | None:
    """Return why and where a watchdog ended a process, in one line; None if it did not.

    Args:
        path: the watchdog's file.
    """
    try:
        reason, _, stacks = path.read_text(errors="replace").partition("\n")
    except OSError:
        return None
    if not _TIMEOUT.search(stacks):  # the process ended in some other way
        return None
    place = _place(stacks)
    return f"{reason}; it was in {place}" if place else reason


def _place(stacks: str) -> str | None:
    """Return the innermost frame of the watched thread that is neither PyTorch's nor Python's."""
    watched, thread = _WATCHED.search(stacks), None
    for line in stacks.splitlines():
        if header := _THREAD.match(line):
            thread = int(header[1], 16)
        elif watched and thread == int(watched[1], 16) and (frame := _FRAME.match(line)):
            file, number, function = frame.groups()
            if not file.startswith((*_TORCH, "<")) and (not file.startswith(_LIBRARY) or "site-packages" in file):
                return f"{os.path.basename(file)}:{number} {function}"
    return None
