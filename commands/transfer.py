"""``spikefront results``: searches moved from one MLflow into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from spikefront.commands.app import app, command, new_app
from spikefront.commands.options import Experiment, TrackingUri
from spikefront.searchspace.options import Option, named, path

transfer_app = new_app(
    help="Move a search from one MLflow into another.",
    epilog="Example: spikefront results export digits-1 --to digits-1.zip",
)
app.add_typer(transfer_app, name="results")


def _print_exported(exported: tuple[str, int, Path]) -> None:
    name, trials, file = exported
    print(f"{name}: {trials} trials written to {file}")


@command(
    _print_exported,
    about="Write a search, its trials and their artifacts into one archive.",
    example="results export digits-1 --to digits-1.zip",
    name="export",
    to=transfer_app,
)
def export_results(
    search: Annotated[
        str | None, Option("Search", named, "SEARCH", is_argument=True, argument_flag="--search"), "Name of the search"
    ] = None,
    *,
    to: Annotated[Path | str, Option("Output", path, "FILE"), "Archive to write, FILE.zip"],
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> tuple[str, int, Path]:
    """Write a search with its trials, their metrics' whole history and all artifacts into one archive.

    Returns:
        Name of the search, number of trials, and the file.

    Raises:
        UsageError: when there is no such search, or the file exists or can't be written.
    """
    from spikefront.results.searches import StoredSearch
    from spikefront.results.store.connection import Store
    from spikefront.results.transfer import export_search

    store = Store(tracking_uri, experiment)
    found = StoredSearch.open(store, search)
    return found.name, export_search(store, found.run_id, Path(to)), Path(to)


def _print_imported(imported: tuple[str, int]) -> None:
    print(f"{imported[0]}: {imported[1]} trials imported")


@command(
    _print_imported,
    about="Write the search of an archive into MLflow.",
    example="results import digits-1.zip --tracking-uri sqlite:///other.db",
    name="import",
    to=transfer_app,
)
def import_results(
    file: Annotated[Path | str, Option("", path, "FILE", is_argument=True), "What spikefront results export wrote"],
    *,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> tuple[str, int]:
    """Write the search of an archive into MLflow. Times, numbers and artifacts are as they were; run ids are new.

    Returns:
        Name of the search, and number of trials.

    Raises:
        UsageError: when the file is not such an archive, or a search of that name is there already.
    """
    from spikefront.results.store.connection import Store
    from spikefront.results.transfer import import_search

    return import_search(Store(tracking_uri, experiment), Path(file))
