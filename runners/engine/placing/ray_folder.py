"""Ray's folder of a search on this machine: its sockets and logs, private to the user, and gone when the search is."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from spikefront.runners.engine.placing import reaper
from spikefront.searchspace import UsageError

_PREFIX: Final = "sf-"
_UNFINISHED: Final = ".new"
_LOCK: Final = "driver"
"""File that a driver keeps locked while it lives; the one beside it names the driver's machine."""

_SOCKET: Final = f"/{_PREFIX}1a2b/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
_LONGEST: Final = (103 if sys.platform == "darwin" else 107) - len(_SOCKET)
"""Bytes that the path of a Unix socket leaves for the folder that ours is made in; hence the short names."""

_ROOM: Final = 16 * 2**20
"""Bytes that there must be at the start; a short search writes less than 1 MiB."""


@contextmanager
def ray_folder() -> Iterator[Path]:
    """Make a folder for Ray that nobody else can enter; at the end, end what still runs of it and remove it.

    That happens, too, when the driver is killed. Where even that was prevented, as by the loss of the machine, the next
    search removes the folder.

    Raises:
        UsageError: when there is no place for it, or RAY_TMPDIR is none.
    """
    base = _base()
    try:
        _remove_left_overs(base)
        folder, lock = _make(base)
    except OSError as error:
        problem = f"Ray's folder can't be made in {base}: {error.strerror or error}"
        raise UsageError(f"{problem}; set RAY_TMPDIR to another place") from error
    watch = subprocess.Popen(
        [sys.executable, "-I", "-S", reaper.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C of a terminal is not for it
    )
    try:
        yield folder
    finally:
        with suppress(subprocess.TimeoutExpired):
            watch.communicate(reaper.ENDED, timeout=10)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)  # if the other process was killed


def _base() -> Path:
    """Return where to make the folder: RAY_TMPDIR, or the first of the usual places that is short and has room."""
    given = os.environ.get("RAY_TMPDIR")
    if given is not None:
        base = Path(given).absolute()
        with suppress(OSError):
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if problem := _unfit(base):
            raise UsageError(f"RAY_TMPDIR={given} {problem}; name another folder, such as /tmp")
        return base
    problems = {}
    for place in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")):
        base = Path(place).absolute()
        if not (problem := _unfit(base)):
            return base
        problems[base] = problem
    found = "; ".join(f"{base} {problem}" for base, problem in problems.items())
    raise UsageError(
        f"there is no folder for Ray's sockets and logs: {found}; set RAY_TMPDIR to a short path with room"
    )


def _unfit(base: Path) -> str:
    """Return what is wrong with a place; nothing if it will do."""
    length = len(os.fsencode(base))
    if length > _LONGEST:
        return f"is {length} bytes long, of which Ray's sockets leave {_LONGEST}"
    if not base.is_dir():
        return "is not a folder"
    if not os.access(base, os.W_OK | os.X_OK):
        return "can't be written"
    free = shutil.disk_usage(base).free
    return f"has {free / 2**20:.1f} MiB left, of which a search takes {_ROOM >> 20}" if free < _ROOM else ""


def _make(base: Path) -> tuple[Path, FileLock]:
    """Make the folder, and lock it before it has the name by which other searches find it."""
    while True:
        folder = base / f"{_PREFIX}{secrets.token_hex(2)}"
        unfinished = folder.with_name(folder.name + _UNFINISHED)
        with suppress(FileExistsError):
            unfinished.mkdir(mode=0o700)
            if not folder.exists():
                break
            unfinished.rmdir()
    try:
        lock = FileLock(unfinished / _LOCK)
        lock.acquire(timeout=0)
        (unfinished / f"{_LOCK}.host").write_text(socket.gethostname(), encoding="utf-8")
        unfinished.rename(folder)  # fails where there is one
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return folder, lock


def _remove_left_overs(base: Path) -> None:
    """Remove folders of this user's drivers that are certainly gone: nobody of this machine holds their lock."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or folder.suffix == _UNFINISHED:
                continue
            if (folder / f"{_LOCK}.host").read_text(encoding="utf-8") != socket.gethostname():
                continue  # on storage of several machines
            with FileLock(folder / _LOCK).acquire(timeout=0):
                reaper.end_all(str(folder), 0.0)
                shutil.rmtree(folder, ignore_errors=True)
