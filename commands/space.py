"""``spikefront space``: what a search would search."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spikefront.commands.app import command
from spikefront.commands.options import PluginsDir
from spikefront.runners.engine.settings import OPTIONS
from spikefront.searchspace.options import Option, path, switch, text

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.commands.printing import Format


def _print(frame: pd.DataFrame, format_: Format) -> None:
    from spikefront.commands.printing import print_rows

    print_rows(frame, format_)
    print(f"{frame.attrs['searched']} hyperparameters searched on task {frame.attrs['task']}", file=sys.stderr)
    for line in frame.attrs["priors"]:
        print(line, file=sys.stderr)
    if frame.attrs["held_out"]:
        print(f"validation holds out {frame.attrs['held_out']}", file=sys.stderr)


@command(
    _print,
    about="Print what a search would search: each hyperparameter, its range and when it exists.",
    example="space --task digits --set coding=latency --set steps=4",
    formats=True,
)
def space(
    task: Annotated[str | None, Option("What to search", text, flag="--task"), "Task to search on"] = None,
    *,
    config: Annotated[Path | str | None, Option("What to search", path), "YAML study file"] = None,
    space: Annotated[
        str | Sequence[str] | Mapping[str, object] | None, OPTIONS["space"].option, OPTIONS["space"].doc
    ] = None,
    plugins_dir: PluginsDir = (),
    pinned: Annotated[bool, Option("Output", switch), "Also list what is held at one value"] = False,
) -> pd.DataFrame:
    """Return what a search would search: a row for each hyperparameter, with its range and when it exists.

    Returns:
        The rows; ``attrs`` has the number of those ``searched``, the ``task``, what its validation split holds out
        (``held_out``), and ``priors``, the settings beside defaults that ``--priors`` would begin with, a line each.

    Raises:
        UsageError: for a narrowing that makes no sense, or an unknown task.
    """
    import pandas as pd

    from spikefront.commands.printing import warn
    from spikefront.plugins import load_registry
    from spikefront.runners.engine.plan import space_of
    from spikefront.runners.engine.study_file import read_settings

    given = {"task": task, "config": config, "space": space, "plugins_dir": plugins_dir or None}
    settings = read_settings(given)
    registry = load_registry(settings.plugin_folders)
    for problem in registry.lines:
        warn(problem)
    found = space_of(settings, registry)
    rows = [row for row in found.rows() if row.searched or pinned]
    frame = pd.DataFrame(
        [{"name": r.name, "range": r.domain, "default": r.default, "active": r.active, "what": r.doc} for r in rows]
    )
    held_out = registry.get("task", found.task).held_out
    named = [(prior.kind, prior.candidate.coding.name) for prior in found.priors() if prior.kind]
    sources = {name: entry.plugin.source for name, entry in registry.entries["coding"].items()}
    priors = [
        f"--priors takes {kind} of {coding} ({sources[coding] or 'no source given'})"
        for kind, coding in dict.fromkeys(named)
    ]
    priors += [f"--priors leaves out {line}" for line in found.priors_left_out()]
    frame.attrs |= {"searched": sum(row.searched for row in rows), "task": found.task, "held_out": held_out}
    frame.attrs["priors"] = priors
    return frame
