"""``spikefront report``: one page about a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from spikefront.commands.app import command
from spikefront.commands.options import Experiment, PluginsDir, SearchName, TrackingUri, existing
from spikefront.searchspace.options import Option, path


@command(
    print,
    about="Write one page about a search: its front, what mattered, what failed, what to do next.",
    example="report digits-1 --to digits-1.html",
)
def report(
    search: SearchName = None,
    *,
    to: Annotated[Path | str | None, Option("Output", path, "FILE", shown="SEARCH.html"), "Page to write"] = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Path:
    """Write one self-contained HTML page about a search, and add it to its MLflow run as artifact.

    It needs no plugin; energy models in ``plugins_dir`` price the stored counts as well.

    Returns:
        The file.

    Raises:
        UsageError: when there is no such search, the store does not answer, or the file can't be written.
    """
    from spikefront.results.report import write_report
    from spikefront.results.store.connection import Store

    return write_report(Store(tracking_uri, experiment), search, to, existing(plugins_dir))
