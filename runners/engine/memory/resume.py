"""What a search writes down about itself so that it can be resumed, and what must not have changed by then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from spikefront.plugins import Registry
from spikefront.searchspace import OPTIONS, Narrowing, Space, UsageError, parse_set, read_options

CHANGEABLE: Final = frozenset(
    {
        "trials",
        "time",
        "target_hypervolume",
        "workers",
        "address",
        "gpus_per_trial",
        "epoch_timeout",
        "tracking_uri",
        "experiment",
        "folder",
        "data_dir",
    }
)
"""Options that a resumed search may be given anew; all others are those that it was begun with."""


def about(
    options: Mapping[str, Any], narrowings: Sequence[Narrowing], registry: Registry, space: Space
) -> dict[str, Any]:
    """Return what a search keeps about itself, as plain values."""
    return {
        "options": {key: _plain(value) for key, value in options.items()},
        "narrowings": [str(narrowing) for narrowing in narrowings],
        "plugins": registry.versions(),
        "space": _digest(space),
    }


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _digest(space: Space) -> str:
    rows = [(row.name, row.domain, row.active) for row in space.rows()]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def options_of(kept: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Narrowing]]:
    """Return the options and narrowings of a search that is resumed.

    Args:
        kept: what ``about`` returned when it began.
        given: options of this call, which override.

    Raises:
        UsageError: for an option that can't be changed any more.
    """
    for key in given:
        if key not in CHANGEABLE and kept["options"].get(key) != _plain(given[key]):
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in OPTIONS if name in CHANGEABLE)
            raise UsageError(f"--{key.replace('_', '-')} can't be changed when a search is resumed; what can: {flags}")
    stored = read_options(kept["options"], "the journal")
    return {**stored, **given}, [parse_set(text) for text in kept["narrowings"]]


def refuse_changed(kept: Mapping[str, Any], registry: Registry, space: Space) -> None:
    """Raise ``UsageError`` when plugins or the space are not what they were when the search began."""
    before, now = kept["plugins"], registry.versions()
    used = {row.name.rpartition(".")[0] for row in space.rows()} | {f"task.{space.task}"}
    changed = [
        f"{name} was {before.get(name, 'not there')} and is {now.get(name, 'not there')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and (name in used or name in before)
    ]
    if not changed and kept["space"] != _digest(space):
        changed = ["the ranges of its hyperparameters are others"]
    if changed:
        raise UsageError(
            f"since the search began, {'; '.join(changed)}: old and new results may not compare; "
            "--force goes on all the same"
        )
