"""Reasons of failed trials, in one line each."""

from __future__ import annotations

from typing import Final

LOST_WORKER: Final = "lost its worker (killed, out of memory, or the machine went away)"
"""Reason of a trial whose process ended."""


def one_line(error: BaseException) -> str:
    """Return type and message of an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
