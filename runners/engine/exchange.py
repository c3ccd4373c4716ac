"""What the driver and its workers agree on: a key of reports, and files in the search's folder, which all nodes see."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FAILURE: Final = "failure"
"""Key under which a worker reports why a trial can't go on."""


def weights_file(folder: Path, number: int) -> Path:
    """Return where the weights of a trial lie."""
    return folder / f"trial-{number:05d}.pt"


def checkpoint_file(weights: Path, number: int) -> Path:
    """Return where a trial that runs keeps its checkpoint."""
    return weights.parent / "checkpoints" / f"trial-{number:05d}.pt"
