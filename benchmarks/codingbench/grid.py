"""The candidates of CodingBench: ``grids.yaml`` as spaces of spikefront, one for each coding of a task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml

from spikefront.plugins import Registry, load_registry
from spikefront.searchspace import Candidate, Space, UsageError
from spikefront.searchspace.narrowing import parse_mapping

HERE: Final = Path(__file__).parent
MOST: Final = 2000
"""Most candidates of one coding."""


@cache
def registry() -> Registry:
    """Return the built-in plugins and the tasks of this folder."""
    return load_registry([HERE / "tasks"], third_parties=False)


def read_grids(path: Path = HERE / "grids.yaml") -> dict[str, dict[str, Any]]:
    """Return the grids by task."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())
    return found


def grid_candidates(task: str, grid: Mapping[str, Any]) -> list[Candidate]:
    """Return all candidates of one task, coding by coding; a candidate's number is its place here."""
    found: list[Candidate] = []
    for coding, own in grid["codings"].items():
        wanted = {**grid["held"], **grid["each"], **own, "coding": coding}
        space = Space(registry(), task, parse_mapping(wanted, "grids.yaml"))
        some = [candidate for _, candidate in islice(space.candidates(), MOST + 1)]
        if len(some) > MOST:
            raise UsageError(f"grids.yaml: {task}: {coding}: a range is left open, or there are over {MOST} candidates")
        found += some
    return found
