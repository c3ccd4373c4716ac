"""Journal of a search, the file that holds all of its state, and the lock that lets one driver write it."""

from __future__ import annotations

import errno
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from spikefront.runners.engine.memory.order import PLACE
from spikefront.runners.engine.memory.records import NEW_TRIAL, STUDY_ATTRIBUTE, JournalCheck, journal_fault, seal
from spikefront.searchspace import OptionError, UnknownName, UsageError

JOURNAL: Final = "journal.log"
_LOCK: Final = "driver.lock"
_HOLDER: Final = f"{_LOCK}.holder"


class JournalError(OSError):
    """Error of a journal that can't be written: nothing more can be stored, so the search must stop."""


class DriverLock:
    """Lock of the one driver of a search, released when its process ends, however it does.

    Args:
        folder: the search's folder.

    Raises:
        UsageError: when another driver holds it, of which the text says which; or when the folder can't be locked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / _LOCK)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # without flock a lock file takes its place, and holds
                self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"search {folder.name!r} is being run by {_holder(folder) or 'another process'}; wait, or end that one"
            ) from None
        except (OSError, NotImplementedError) as error:  # no permission, or a file system without flock
            raise OptionError("folder", folder.parent, f": {_why_not_locked(error)}; choose another") from error
        with suppress(OSError):  # a full disk; the text is for messages only
            (folder / _HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def discard(self) -> None:
        """Delete its files, of a search that did not begin, and release it."""
        for name in (_HOLDER, _LOCK):
            (self._folder / name).unlink(missing_ok=True)
        self._lock.release()


def _why_not_locked(error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EISDIR, errno.ELOOP):
        return f"{os.strerror(code)}"
    return "the file system has no locks"


def _holder(folder: Path) -> str:
    try:
        return (folder / _HOLDER).read_text()
    except OSError:
        return ""


class _Backend(BaseJournalBackend):
    """Optuna's journal in a file of sealed records, which the driver's lock keeps from all other writers.

    So the file is read once; what Optuna reads back afterwards are the records that it has appended. A trial that is
    begun, its parameters and its place are written with the next record of another kind: they are nothing before its
    candidate, and the disk is waited for once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_read = False
        self._unread: list[bytes] = []  # records that were appended, and not read back
        self._held: list[bytes] = []  # what is not in the file yet
        self.check = JournalCheck(path)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the records that follow those read before."""
        assert log_number_from == self.check.lines, "records are read once, in order"
        if not self._is_read:
            self._is_read = True
            with self._path.open("rb") as file:
                for raw in file:
                    if not raw.endswith(b"\n"):  # cut off by a kill, or being written
                        return
                    yield self.check.read(raw)
        unread, self._unread = self._unread, []
        for raw in unread:
            yield self.check.read(raw)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records, and wait for the disk."""
        first = self.check.lines + len(self._unread) + 1
        sealed = [seal(log, place) for place, log in enumerate(logs, first)]
        if all(_awaits_candidate(log) for log in logs):
            self._held += sealed
            self._unread += sealed
            return
        size = os.path.getsize(self._path)
        try:
            with self._path.open("ab") as file:
                file.writelines([*self._held, *sealed])
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            # half a record would hide all that follow
            os.truncate(self._path, size)
            raise JournalError(error.errno, f"{self._path} can't be written: {error.strerror}") from error
        self._held = []
        self._unread += sealed


def _awaits_candidate(record: Mapping[str, Any]) -> bool:
    """Return whether a record is of a trial that begins, and says nothing without the candidate that follows it."""
    if record["op_code"] == NEW_TRIAL:
        return "state" not in record  # one that is queued has a state, and its parameters
    return "param_name" in record or record.get("user_attr", {}).keys() == {PLACE}


def open_journal(folder: Path) -> JournalStorage:
    """Open the journal of a search, creating it if there is none; call it under the ``DriverLock``.

    A last record that was cut off, by a kill or a full disk, is removed.

    Raises:
        UsageError: when the journal is damaged, or of a later version; the text names the line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    if path.exists():
        _mend(path)
    else:
        path.touch()
    return read_journal(folder)


def read_journal(folder: Path) -> JournalStorage:
    """Open a journal that another driver may be writing, to read what it has so far.

    Raises:
        UsageError: when it is damaged, or of a later version; the text names the line.
    """
    path = folder / JOURNAL
    backend = _Backend(path)
    try:
        return JournalStorage(backend)
    except UsageError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # whatever Optuna makes of a record that does not fit
        raise backend.check.fault(f"does not fit to the lines before it ({type(error).__name__})") from error


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} can't be read: {error.strerror}; check its permissions")


def _mend(path: Path) -> None:
    """Remove a last record that does not end."""
    whole, last = 0, b""
    with path.open("rb") as file:
        for line in file:
            whole, last = whole + len(last), line
    if last and not last.endswith(b"\n"):
        os.truncate(path, whole)


def read_attributes(folder: Path) -> Mapping[str, Any]:
    """Return what a search recorded about itself, after checking its whole journal, without opening its study.

    Raises:
        UnknownName: when there is no such search beside the others.
        UsageError: when its journal is damaged, or ends before it says what was searched; the text names the line.
    """
    path = folder / JOURNAL
    if not os.path.exists(path):
        known = [other.parent.name for other in folder.parent.glob(f"*/{JOURNAL}")]
        raise UnknownName(f"search in {folder.parent}:", folder.name, known)
    attributes: dict[str, Any] = {}
    backend = _Backend(path)
    try:
        for record in backend.read_logs(0):
            if record["op_code"] == STUDY_ATTRIBUTE:
                attributes.update(record["user_attr"])
    except OSError as error:
        raise _unreadable(path, error) from error
    if "search" not in attributes:
        line = max(1, backend.check.lines)
        problem = "the journal does not say what was searched" + (", it was cut off at its start" if line < 3 else "")
        raise journal_fault(path, line, problem)
    return attributes
