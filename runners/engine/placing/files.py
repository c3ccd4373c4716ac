"""File layout and report keys shared by driver and workers. All nodes see the folder of a search."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from spikefront.searchspace.trial import COUNTS, Trial

FAILURE: Final = "failure"
"""Key of a report with the reason why a trial failed."""
TRACEBACK: Final = "traceback"
"""Key of a report with the traceback of a trial that failed; missing where there is none."""

BEFORE: Final = "before"
"""Key of the first report of a trial that goes on from its checkpoint, with the metrics of the epochs until then."""
UNKEPT: Final = "unkept"
"""Key of a report with the reason why the weights of a trial that was evaluated could not be written."""
UNSEEN: Final = "unseen"
"""Key of a report with the reason why what the network of a trial does could not be recorded."""

POINTS: Final = "points"
"""Key of the report of a trial's end with the metrics of its network stopped after fewer steps, by T' as text."""


def weights_file(folder: Path, number: int) -> Path:
    """Return the file of a trial's weights."""
    return folder / f"trial-{number:05d}.pt"


def beside(weights: Path, name: str, cut: int = 0) -> Path:
    """Return the path of another file of a trial: ``layers.json`` is in ``trial-00007.layers.json``.

    That of its point at T' = 4 is in ``trial-00007@4.layers.json``. The recorder finds both when it is given the
    weights.
    """
    return weights.with_name(f"{weights.stem}{f'@{cut}' if cut else ''}.{name}")


def counts_file(weights: Path, number: int, cut: int = 0) -> Path:
    """Return the file of a trial's or point's operations, which stays, whether or not that is on the front."""
    return weights.parent / COUNTS / f"trial-{number:05d}{f'@{cut}' if cut else ''}.json"


def keep_weights_of(folder: Path, trials: Iterable[Trial]) -> None:
    """Delete the weights of all trials but these and those of these points, with the other files beside them."""
    stems = {(weights_file(folder, one.number).stem, one.cut) for one in trials}
    names = {f"{stem}@{cut}" if cut else stem for stem, cut in stems} | {stem for stem, _ in stems}
    for path in folder.glob("trial-*.*"):
        if path.name.partition(".")[0] not in names:
            path.unlink(missing_ok=True)


def checkpoint_file(weights: Path, number: int) -> Path:
    """Return the file of a running trial's checkpoint."""
    return weights.parent / "checkpoints" / f"trial-{number:05d}.pt"
