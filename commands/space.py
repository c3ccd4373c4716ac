"""``spikefront space``: what a search would search."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from spikefront.commands.app import command
from spikefront.commands.options import PluginsDir
from spikefront.runners.engine.settings import OPTIONS
from spikefront.searchspace.errors import OptionError, one_line
from spikefront.searchspace.options import Option, path, switch, text
from spikefront.searchspace.targets import obstacle

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.commands.printing import Format
    from spikefront.plugins import Registry
    from spikefront.searchspace import Space


def _print(frame: pd.DataFrame, format_: Format) -> None:
    from spikefront.commands.printing import print_rows

    print_rows(frame, format_)
    print(f"{frame.attrs['searched']} hyperparameters searched on task {frame.attrs['task']}", file=sys.stderr)
    for line in frame.attrs["priors"]:
        print(line, file=sys.stderr)
    if frame.attrs["held_out"]:
        print(f"validation holds out {frame.attrs['held_out']}", file=sys.stderr)
    for file in frame.attrs["pictures"]:
        print(file, file=sys.stderr)


_STEPS: Final = 8
"""Time steps of pictures, where the space has them."""


def _draw(space: Space, registry: Registry, folder: Path) -> list[Path]:
    """Write a picture of each coding of a space, and a page of them; one that can't be drawn costs a warning."""
    from spikefront.commands.gallery import Shown, write_gallery
    from spikefront.commands.printing import warn, warnings_in_one_line
    from spikefront.plugins.response import respond
    from spikefront.results.pictures.codings import coding_picture
    from spikefront.runners.judging.seeding import kept_randomness, seed_everything

    pictures = {}
    entries = registry.entries["coding"]
    for prior in space.fitted({"coding": name, "steps": _STEPS} for name in sorted(entries)):
        name = prior.candidate.coding.name
        try:
            with kept_randomness(), warnings_in_one_line():
                seed_everything(space.seed)
                picture = coding_picture(respond(prior.candidate, registry))
                about = f"{entries[name].summary} Defined in {entries[name].origin}."
                pictures[name] = Shown(picture.png(scale=1), picture.alt, about)
        except Exception as error:  # a plugin may raise anything
            warn(one_line(f"coding {name!r} has no picture: {type(error).__name__}: {error}"))
    return write_gallery(folder, f"Codings of a search on {space.task}", pictures)


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
    pictures: Annotated[
        Path | str | None,
        Option("Output", path, "FOLDER"),
        "Draw what each coding makes of an image and of a ramp of values, as PNGs and a page of them",
    ] = None,
) -> pd.DataFrame:
    """Return what a search would search: a row for each hyperparameter, with its range and when it exists.

    Returns:
        The rows; ``attrs`` has the number of those ``searched``, the ``task``, what its validation split holds out
        (``held_out``), ``priors``, the settings beside defaults that ``--priors`` would begin with, a line each, and
        the files of ``pictures``.

    Raises:
        UsageError: for a narrowing that makes no sense, an unknown task, or a folder that can't be written.
    """
    import pandas as pd

    from spikefront.commands.printing import warn
    from spikefront.plugins import load_registry
    from spikefront.runners.engine.plan import space_of
    from spikefront.runners.engine.study_file import read_settings

    given = {"task": task, "config": config, "space": space, "plugins_dir": plugins_dir or None}
    settings = read_settings(given)
    folder = None if pictures is None else Path(pictures)
    if folder is not None and (above := obstacle(folder)):
        raise OptionError("pictures", folder, f": {above} is not a folder that can be written; choose another")
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
    frame.attrs["pictures"] = [] if folder is None else [str(file) for file in _draw(found, registry, folder)]
    return frame
