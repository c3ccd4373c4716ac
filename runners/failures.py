"""Reasons of failed trials, in one line each, and their tracebacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spikefront.plugins.places import place_of, traceback_of
from spikefront.searchspace import UsageError

LOST_WORKER: Final = "lost its worker (killed, out of memory, or the machine went away)"
"""Reason of a trial whose process ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an evaluation failed.

    Attributes:
        reason: in one line.
        traceback: of the exception; empty where there is none.
    """

    reason: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException, what: str = "") -> Failure:
        """Return the failure that an exception is; ``what`` begins its reason."""
        return cls(what + one_line(error), traceback_of(error))


def one_line(error: BaseException) -> str:
    """Return type, message and place of an exception in one line; a user's mistake has no place in code."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    place = "" if isinstance(error, UsageError) else place_of(error)
    return f"{line} ({place})" if place else line
