"""What the driver and its workers agree on: a key of reports, and files in the search's folder, which all nodes see."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

FAILURE: Final = "failure"
"""Key under which a worker reports why a trial can't go on."""


def weights_file(folder: Path, number: int) -> Path:
    """Return where the weights of a trial lie."""
    return folder / f"trial-{number:05d}.pt"


def beside(weights: Path, name: str) -> Path:
    """Return where a file that belongs to a trial's weights lies: ``layers.json`` in ``trial-00007.layers.json``.

    Whoever is handed the weights finds by this name what goes with them.
    """
    return weights.with_suffix(f".{name}")


def keep_weights_of(folder: Path, trials: Collection[int]) -> None:
    """Delete the weights, and all that lies beside them, of all trials but these."""
    kept = {weights_file(folder, number).stem for number in trials}
    for path in folder.glob("trial-*.*"):
        if path.name.partition(".")[0] not in kept:
            path.unlink(missing_ok=True)


def checkpoint_file(weights: Path, number: int) -> Path:
    """Return where a trial that runs keeps its checkpoint."""
    return weights.parent / "checkpoints" / f"trial-{number:05d}.pt"
