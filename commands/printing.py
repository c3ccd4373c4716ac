"""Rows, sentences and warnings on the terminal. Programs read csv or json."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL, ENERGY_ERROR
from spikefront.searchspace.secrets import redact
from spikefront.searchspace.units import format_energy

if TYPE_CHECKING:
    import pandas

    from spikefront.plugins import Registry


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


class Conclusions(NamedTuple):
    """Rows, and what they show.

    Attributes:
        frame: a row for each member of the front, cheapest first.
        sentences: the conclusions.
    """

    frame: pandas.DataFrame
    sentences: Sequence[str]


_LEFT_OUT: Final = ("search", "run_id", "cut", "spike_rate", "sops", "macs", ENERGY_ERROR, "same_energy_as")
"""Columns of a front that csv and json have, and for which 80 characters leave no room."""
_MARKED: Final = (
    "~ its energy and that of a neighbour on the front differ by less than two standard errors of their difference\n"
    "  (\u00b1, over the measured samples): either may be the cheaper one"
)
_WIDE: Final = 200
"""Characters for a line that goes to a file or a pipe."""


def print_table(frame: pandas.DataFrame) -> None:
    """Print a table: numbers to the right with four digits, energies with their unit, ``4 of 8`` steps of a point.

    Args:
        frame: one row each; of a front, the columns that don't fit are left out, and the search becomes the title.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False, highlight=False)
    searches = list(frame["search"].unique()) if "search" in frame else []
    title = f"front of {searches[0]}" if len(searches) == 1 else None
    if title and "quality" in frame.attrs:
        title += f"; quality is {frame.attrs['quality']}"
    if title and frame.attrs.get("energy_model", DEFAULT_ENERGY_MODEL) != DEFAULT_ENERGY_MODEL:
        title += f"; energy by {frame.attrs['energy_model']}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title=title, title_justify="left")
    columns = [name for name in frame.columns if name not in (*_LEFT_OUT, *frame.attrs.get("beside", ()))]
    for name in columns:
        is_text = all(isinstance(value, str) for value in frame[name])
        table.add_column(name.removesuffix("_nj").removesuffix("_steps"), justify="left" if is_text else "right")
    for row in frame.to_dict(orient="records"):
        table.add_row(*(_in_words(name, row) for name in columns))
    console.print(table)
    if "same_energy_as" in frame and frame["same_energy_as"].any():
        print(_MARKED)


def markdown(frame: pandas.DataFrame) -> str:
    """Return all columns as a Markdown table."""
    rows = [frame.columns, ["---"] * len(frame.columns), *frame.itertuples(index=False)]
    cells = (
        [_cell(name, value).replace("|", "\\|") for name, value in zip(frame.columns, row, strict=True)] for row in rows
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _in_words(name: str, row: Mapping[str, Any]) -> str:
    """Return a cell of a table, with what other columns add to it: an energy's error, the T' of a point."""
    if name == "energy_nj":
        return _with_error(row)
    return f"{row['cut']} of {row[name]}" if name == "steps" and row.get("cut") else _cell(name, row[name])


def _with_error(row: Mapping[str, Any]) -> str:
    """Return the energy of a row with its standard error, and the mark of one that is not separated."""
    energy, error = row["energy_nj"], row.get(ENERGY_ERROR)
    shown = _cell("energy_nj", energy)
    if isinstance(energy, float) and isinstance(error, float) and not math.isnan(energy):
        shown = format_energy(energy, error)
    return f"{shown} ~" if row.get("same_energy_as") else shown


def _cell(name: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return format_energy(value) if name.endswith("_nj") else f"{value:.4g}"


def _json(frame: pandas.DataFrame) -> str:
    """Return a list of objects whose numbers keep all their bits; pandas would cut them after 15 digits."""
    rows = [
        {name: None if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in row.items()}
        for row in frame.to_dict(orient="records")
    ]
    return json.dumps(rows, indent=2, allow_nan=False)


def print_rows(frame: pandas.DataFrame, format_: Format) -> None:
    """Print rows to stdout."""
    if format_ is Format.json:
        print(_json(frame))
    elif format_ is Format.csv:
        print(frame.to_csv(index=False), end="")
    elif format_ is Format.markdown:
        print(markdown(frame), end="")
    else:
        print_table(frame)


def print_conclusions(found: Conclusions, format_: Format) -> None:
    """Print rows, then sentences: below a table, on stderr beside any other format; exit with 1 without a row."""
    print_rows(found.frame, format_)
    for sentence in found.sentences:
        print(sentence, file=sys.stdout if format_ is Format.table else sys.stderr)
    if found.frame.empty:
        sys.exit(1)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    print(f"spikefront: warning: {redact(text)}", file=sys.stderr)


def show_tracebacks(registry: Registry) -> None:
    """Print the traceback of each plugin that was not loaded to stderr."""
    for traceback in registry.tracebacks.values():
        print(redact(traceback), end="", file=sys.stderr)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Print users' warnings that come up inside to stderr, a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        if each.category is UserWarning:
            warn(str(each.message))
