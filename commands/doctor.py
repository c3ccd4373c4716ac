"""``spikefront doctor``: whether a search can run here, and what to do where it can't."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, Folder, PluginsDir, TrackingUri, Verbose
from spikefront.commands.printing import Format, print_rows, show_tracebacks
from spikefront.searchspace.options import Option, switch, text

if TYPE_CHECKING:
    from spikefront.commands.checkup import Checkup


def _show(checkup: Checkup, format_: Format) -> None:
    """Print what was found, then in one line whether a search can run; exit with 1 where it can't."""
    if format_ is Format.table:
        print(checkup)
    else:
        print_rows(checkup.frame(), format_)
        print(checkup.verdict, file=sys.stderr)
    if not checkup.ready:
        sys.exit(1)


@command(
    _show,
    about="Check whether a search can run here, and say what to do where it can't.",
    example="doctor --task fashion-mnist --data-dir data",
    formats=True,
)
def doctor(
    *,
    task: Annotated[str | None, Option("What to check", text), "Task whose data must be there"] = None,
    ray: Annotated[
        bool, Option("What to check", switch), "Start Ray, or join the cluster, and run a task in it"
    ] = True,
    verbose: Verbose = False,
    address: Annotated[
        str | None, Option("Where", text, shown="none"), "Existing Ray cluster, host:port or auto"
    ] = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    folder: Folder = Path("searches"),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Checkup:
    """Check what a search needs: packages, processors, Ray, folders, store, plugins and data.

    Nothing is changed, downloaded or left behind.

    Returns:
        What was found, part by part, and whether a search can run (``ready``); ``print`` shows it as the command does.

    Raises:
        UsageError: for an unknown task.
    """
    from spikefront.commands import checkup
    from spikefront.plugins import load_registry
    from spikefront.plugins.registry import Registry
    from spikefront.results.store.connection import Store

    assert isinstance(plugins_dir, tuple)
    registry: Registry = load_registry([folder for folder in plugins_dir if folder.is_dir()])
    if task is not None:
        registry.get("task", task)
    if verbose:
        show_tracebacks(registry)
    return checkup.Checkup(
        (
            *checkup.packages(),
            checkup.processors(),
            checkup.gpu(),
            *([checkup.ray(address)] if ray else []),
            *checkup.ports(),
            *checkup.folders(Path(folder)),
            checkup.store(lambda: Store(tracking_uri, experiment)),
            *checkup.plugins(registry, plugins_dir),
            *checkup.data(registry, None if data_dir is None else Path(data_dir), task),
        ),
        f"spikefront run --task {task or 'digits'}",
    )
