"""Records of a journal: how each is sealed, and the check that all of them are there, whole and in order.

A record is a line of JSON, as Optuna's journals have it, with two keys more at its end: ``line``, its place in the file
from 1, and ``crc``, the CRC-32 of the line without that key. So a line that is lost, changed, moved or there twice is
found where it is. Journals of the first version have neither; ``UnsealedCheck`` does for them what their content
allows.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spikefront.runners.engine.memory.unsealed import BadRecord, UnsealedCheck
from spikefront.searchspace import UsageError

FORMAT: Final = 2
"""Version of the format of journals. The first had no number."""

STUDY_ATTRIBUTE: Final = 2
"""Optuna's code of the operation that sets an attribute of the study."""

NEW_TRIAL: Final = 4
"""Optuna's code of the operation that creates a trial."""

_CRC: Final = b',"crc":'


def seal(record: Mapping[str, Any], line: int) -> bytes:
    """Return a record as the line of this number, with its seal."""
    body = json.dumps({**record, "line": line}, separators=(",", ":")).encode()
    return body[:-1] + _CRC + b"%d}\n" % zlib.crc32(body)


def journal_fault(path: Path, line: int, problem: str) -> UsageError:
    """Return the error that a line of a journal can't be read: the file, the line, what is wrong and what to do."""
    if line <= 2:
        todo = "restore the file from a copy, or begin a new search"
    else:
        todo = (
            "restore the file from a copy, such as the one in MLflow, or go on without what follows: delete this line "
            "and all after it"
        )
    return UsageError(f"{path}, line {line}: {problem}; {todo}")


class JournalCheck:
    """The check of a journal, line by line.

    Args:
        path: the file, for messages.

    Attributes:
        lines: number of lines that were read and are right.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._unsealed: UnsealedCheck | None = UnsealedCheck()

    def read(self, raw: bytes) -> dict[str, Any]:
        """Return the record of the next line.

        Raises:
            UsageError: when the line is damaged, missing, of another program or of a later version.
        """
        line = self.lines + 1
        try:
            record = self._read(raw, line)
        except BadRecord as bad:
            raise self.fault(str(bad), line) from None
        self.lines = line
        return record

    def fault(self, problem: str, line: int | None = None) -> UsageError:
        """Return the error that something is wrong with a line; with the last that was read when none is named."""
        return journal_fault(self.path, self.lines if line is None else line, problem)

    def _read(self, raw: bytes, line: int) -> dict[str, Any]:
        try:
            record = json.loads(raw)
        except (ValueError, RecursionError):  # no UTF-8, no JSON, numbers of thousands of digits, or nested too deep
            raise BadRecord("is not a record of a journal; it is damaged, or the file is something else") from None
        if not isinstance(record, dict):
            raise BadRecord("is not a record of a journal")
        _refuse_later_format(record)
        if "crc" in record:
            self._unsealed = None
            _check_seal(raw, record, line)
        elif self._unsealed is None:
            raise BadRecord("was written by another program, or by an earlier version of spikefront")
        else:
            self._unsealed.check(record, raw)
        return record


def _refuse_later_format(record: Mapping[str, Any]) -> None:
    attribute = record.get("user_attr")
    about = attribute.get("search") if record.get("op_code") == STUDY_ATTRIBUTE and isinstance(attribute, dict) else {}
    found = about.get("format", FORMAT) if isinstance(about, dict) else FORMAT
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise BadRecord(
            f"the journal has format {str(found)[:20]}, and this version of spikefront reads up to {FORMAT}: "
            "take the version that wrote it"
        )


def _check_seal(raw: bytes, record: Mapping[str, Any], line: int) -> None:
    body, _, crc = raw.rpartition(_CRC)
    if crc != b"%d}\n" % zlib.crc32(body + b"}"):
        raise BadRecord("is not as it was written: it was damaged or edited")
    if record.get("line") != line:
        raise BadRecord(f"was written as line {record.get('line')}: lines before it are missing, or there twice")
