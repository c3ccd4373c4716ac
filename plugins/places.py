"""Places of errors: the file and line of the plugin in which one was raised."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

_OURS: Final = os.path.join(Path(__file__).parent.parent, "")
_LIBRARY: Final = os.path.join(sysconfig.get_path("stdlib"), "")
_LONGEST: Final = 16_000
_KEPT: Final = "_spikefront_place"


def place_of(error: BaseException, *, users: bool = False) -> str:
    """Return where an exception was raised as ``file.py:12``; empty where nothing is known.

    It is the innermost line of a plugin of the user's or of an installed package, or else of spikefront, or else the
    innermost of all: an error in torch is that of the line that called it.

    Args:
        error: the exception.
        users: whether only lines of plugins count, and the place is empty without one.
    """
    kept = str(getattr(error, _KEPT, ""))
    if kept and not users:
        return kept
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.basename(error.filename)}:{error.lineno}"
    frames = [
        (frame.f_code.co_filename, line, str(frame.f_globals.get("__name__", "")))
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    frames = [frame for frame in frames[::-1] if not frame[0].startswith("<")]
    packages = {re.split(r"[.:]", point.value)[0] for point in entry_points(group="spikefront")} if frames else set()
    for ours in (False,) if users else (False, True):
        for file, line, module in frames:
            if file.startswith(_OURS) if ours else _is_users(file, module, packages):
                return f"{os.path.basename(file)}:{line}"
    return f"{os.path.basename(frames[0][0])}:{frames[0][1]}" if frames and not users else ""


def keep_place(error: BaseException) -> None:
    """Keep the place of an exception with it, as its traceback is not pickled."""
    setattr(error, _KEPT, place_of(error))


def _is_users(file: str, module: str, packages: set[str]) -> bool:
    if module.partition(".")[0] in packages:
        return True
    return not file.startswith((_OURS, _LIBRARY)) and "site-packages" not in file and "dist-packages" not in file


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception, its innermost part where it is very long."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"
