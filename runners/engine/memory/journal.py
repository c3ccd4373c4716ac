"""Journal of a search, the file that holds all of its state, and the lock that lets one driver write it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from spikefront.searchspace import UnknownName, UsageError

JOURNAL: Final = "journal.log"
_LOCK: Final = "driver.lock"


class JournalError(OSError):
    """Error of a journal that can't be written: nothing more can be stored, so the search must stop."""


class DriverLock:
    """Lock of the one driver of a search, released when its process ends, however it does.

    Args:
        folder: the search's folder.

    Raises:
        UsageError: when another driver holds it; the text says which.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / _LOCK
        self._lock = FileLock(path)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"search {folder.name!r} is being run by {_holder(folder) or 'another process'}; wait, or end that one"
            ) from None
        (folder / f"{_LOCK}.holder").write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def _holder(folder: Path) -> str:
    try:
        return (folder / f"{_LOCK}.holder").read_text()
    except OSError:
        return ""


class _Unlocked(JournalFileOpenLock):
    """No lock per write: the driver's lock covers all, and a killed process would leave Optuna's behind for 30 s."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _Backend(JournalFileBackend):
    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        size = os.path.getsize(self._file_path)
        try:
            if all("param_name" in log for log in logs):
                self._write(logs)
            else:
                super().append_logs(logs)
        except OSError as error:
            # half a record would hide all that follow
            os.truncate(self._file_path, size)
            raise JournalError(error.errno, f"{self._file_path} can't be written: {error.strerror}") from error

    def _write(self, logs: list[dict[str, Any]]) -> None:
        """Write without waiting for the disk: a trial's parameters are nothing before its candidate, which waits."""
        with open(self._file_path, "ab") as file:
            file.writelines(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)


def open_journal(folder: Path) -> JournalStorage:
    """Open the journal of a search, creating it if there is none; call it under the ``DriverLock``.

    A record that was cut off, by a kill or a full disk, is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    if path.exists():
        _mend(path)
    return JournalStorage(_Backend(str(path), lock_obj=_Unlocked(str(path))))


def _mend(path: Path) -> None:
    """Remove a last record that is not complete."""
    whole, last = 0, b""
    with path.open("rb") as file:
        for line in file:
            whole, last = whole + len(last), line
    if last and not (last.endswith(b"\n") and _is_json(last)):
        os.truncate(path, whole)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def read_attributes(folder: Path) -> Mapping[str, Any]:
    """Return what a search recorded about itself, without opening its study.

    Raises:
        UnknownName: when there is no such search beside the others.
        UsageError: when its journal ends before it says what was searched.
    """
    path = folder / JOURNAL
    if not path.exists():
        known = [other.parent.name for other in folder.parent.glob(f"*/{JOURNAL}")]
        raise UnknownName(f"search in {folder.parent}:", folder.name, known)
    attributes: dict[str, Any] = {}
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n") and b'"user_attr"' in line and _is_json(line):
                record = json.loads(line)
                if "trial_id" not in record:
                    attributes.update(record["user_attr"])
    if "search" not in attributes:
        raise UsageError(f"{path} does not say what was searched; it was cut off at its start, so begin anew")
    return attributes
