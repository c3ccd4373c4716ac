"""How deep the folders of data may lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spikefront.searchspace import UsageError

DEEPEST: Final = 100
"""Most folders, one in the other, that data lie in."""


def refuse_deep(where: Path, folders: int) -> None:
    """Raise ``UsageError`` when in ``where`` so many folders lie, one in the other, as no data set has."""
    if folders > DEEPEST:
        raise UsageError(f"{where}: more than {DEEPEST} folders lie in it, one in the other; flatten or remove them")
