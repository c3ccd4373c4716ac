"""Folders from which the processes of a search import: as the driver does, but not from its current folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def named_folders() -> list[str]:
    """Return the folders that the user's PYTHONPATH names; Python takes an empty entry for the current folder."""
    return [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]


def import_path() -> list[str]:
    """Return the driver's ``sys.path`` without the current folder and the folder of its script.

    Python puts one of the two first when it runs a script or a notebook, before its own library: a ``random.py`` that
    lies there would be every process's ``random``. What PYTHONPATH names is kept.
    """
    main = sys.modules["__main__"]
    script = None if getattr(main, "__spec__", None) else getattr(main, "__file__", None)
    left_out = {Path.cwd()} if script is None else {Path.cwd(), Path(script).resolve().parent}
    named = {Path(folder).resolve() for folder in named_folders()}
    return [folder for folder in sys.path if (at := Path(folder).resolve()) in named or at not in left_out]
