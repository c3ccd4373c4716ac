"""The verbs that need nothing but the store, comparing searches and moving them, and how all verbs print rows."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikefront.results.options import ExperimentOption, Format, FormatOption, TrackingOption

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


@app.command("compare", epilog="Example: spikefront compare digits-1 digits-2 --plot both.png")
def compare_command(
    searches: Annotated[list[str], typer.Argument(metavar="SEARCH...", help="Names of two or more searches")],
    plot: Annotated[Path | None, typer.Option(help="Draw fronts and hypervolume over time: FILE.png or .svg")] = None,
    format_: FormatOption = Format.table,
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Hold searches of one task against each other, by trials and by time."""
    from spikefront.results.compare import check_picture, compare

    if plot is not None:
        check_picture(plot)
    found = compare(searches, tracking_uri=tracking_uri, experiment=experiment)
    for warning in found.warnings:
        print(f"spikefront: warning: {warning}", file=sys.stderr)
    print_rows(found.frame, format_)
    if plot is not None:
        found.plot(plot)


moving = typer.Typer(
    help="Move a search from one MLflow into another.",
    epilog="Example: spikefront results export digits-1 --to digits-1.zip",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(moving, name="results")


@moving.command("export", epilog="Example: spikefront results export digits-1 --to digits-1.zip")
def export_results_command(
    search: Annotated[str, typer.Argument(help="Name of the search")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Archive to write, FILE.zip")],
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Write a search, its trials and their artifacts into one archive."""
    from spikefront.results.transfer import export_search

    trials = export_search(search, to, tracking_uri=tracking_uri, experiment=experiment)
    print(f"{search}: {trials} trials written to {to}")


@moving.command("import", epilog="Example: spikefront results import digits-1.zip --tracking-uri sqlite:///other.db")
def import_results_command(
    file: Annotated[Path, typer.Argument(help="What spikefront results export wrote")],
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Write the search of an archive into MLflow."""
    from spikefront.results.transfer import import_search

    search, trials = import_search(file, tracking_uri=tracking_uri, experiment=experiment)
    print(f"{search}: {trials} trials imported")


def print_rows(frame: pd.DataFrame, format_: Format) -> None:
    """Print rows to stdout."""
    from spikefront.results.tables import print_rows as show_rows

    show_rows(frame, format_.value)


def show(frame: pd.DataFrame, said: Sequence[str], format_: Format) -> None:
    """Print rows, and sentences behind a table, beside anything else; exit with 1 where there is no row."""
    print_rows(frame, format_)
    for sentence in said:
        print(sentence, file=sys.stdout if format_ is Format.table else sys.stderr)
    if frame.empty:
        sys.exit(1)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Print users' warnings that come up inside to stderr, a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        if each.category is UserWarning:
            print(f"spikefront: warning: {each.message}", file=sys.stderr)
