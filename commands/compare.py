"""``spikefront compare``: searches of one task side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spikefront.commands.app import command
from spikefront.commands.options import Experiment, TrackingUri
from spikefront.searchspace.options import Option, many, path, text

if TYPE_CHECKING:
    from spikefront.commands.printing import Format
    from spikefront.results.compare import Comparison


def _print(comparison: Comparison, format_: Format) -> None:
    from spikefront.commands.printing import print_rows, warn

    for warning in comparison.warnings:
        warn(warning)
    print_rows(comparison.frame, format_)


@command(
    _print,
    about="Compare searches of one task, by trials and by time.",
    example="compare digits-1 digits-2 --plot both.png",
    formats=True,
)
def compare(
    searches: Annotated[
        str | Sequence[str],
        Option("Search", many(text), "SEARCH...", is_argument=True, argument_flag="--search"),
        "Names of two or more searches",
    ] = (),
    *,
    plot: Annotated[
        Path | str | None,
        Option("Output", path, "FILE"),
        "Draw fronts and hypervolume over time: FILE.png, .svg, .html, .csv or .json",
    ] = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Comparison:
    """Compare searches of one task in one MLflow experiment.

    Returns:
        A table of measures, as ``frame``, with warnings; see ``spikefront.results.compare`` for what they are.

    Raises:
        UnknownName: when there is no search of a name.
        UsageError: for less than two searches, one twice, different tasks, or a store that does not answer.
    """
    from spikefront.results.compare import compare as compare_searches
    from spikefront.results.pictures.picture import check_picture
    from spikefront.results.store.connection import Store

    if plot is not None:
        check_picture(plot)
    comparison = compare_searches(Store(tracking_uri, experiment), searches)
    if plot is not None:
        comparison.plot(plot)
    return comparison
