"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.options import Option, line, many, named, path, switch

KIND_NAMES: Final = sorted(file.stem for file in (Path(__file__).parents[1] / "plugins/templates").glob("[!_]*.py"))
"""Kinds of plugins, read off the names of their templates: importing them takes seconds."""

SearchName = Annotated[
    str | None,
    Option("Search", named, "SEARCH", is_argument=True, argument_flag="--search", shown="the newest"),
    "Name of the search",
]
DataDir = Annotated[Path | str | None, Option("Where", path, "FOLDER"), "Folder with data files"]
PluginsDir = Annotated[
    Path | str | Sequence[Path | str],
    Option("Where", many(path), "FOLDER", aliases=("plugin_dirs",), envvar="SPIKEFRONT_PLUGINS_DIR"),
    "Folder with plugin files; repeatable",
]
Folder = Annotated[Path | str, Option("Where", path, "FOLDER"), "Folder of all searches"]
TrackingUri = Annotated[
    str | None,
    Option("Where", line, shown="$MLFLOW_TRACKING_URI or sqlite:///mlflow.db", secret=True),
    "MLflow server or store",
]
Verbose = Annotated[bool, Option("Output", switch), "Show tracebacks of plugins that fail, on stderr"]
Experiment = Annotated[str | None, Option("Where", line, shown="MLflow's own"), "MLflow experiment"]


def existing(plugins_dir: object) -> tuple[Path, ...]:
    """Return folders with plugin files, of a command that may not load them.

    Raises:
        UsageError: when one does not exist.
    """
    assert isinstance(plugins_dir, tuple)
    for folder in plugins_dir:
        if not folder.is_dir():
            raise UsageError(f"--plugins-dir {folder}: no such folder")
    return plugins_dir
