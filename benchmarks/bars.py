"""Bar charts of what benchmarks measure, as files: ``--picture FILE`` of a script."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import altair as alt

from spikefront.results.pictures.looks import LINE, look
from spikefront.results.pictures.picture import Picture, Row, check_picture, data
from spikefront.searchspace.errors import UsageError

OTHERS = "#8c8c8e"


def picture_file(text: str) -> str:
    """Return the name of a picture's file, for argparse, which refuses it before anything is measured."""
    try:
        check_picture(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def bars(rows: Sequence[Row], title: str, alt_text: str) -> Picture:
    """Return a picture of bars: one for each ``name`` and ``value``, in a panel for each ``panel``.

    Rows whose ``ours`` is true have a colour of their own.
    """
    names = list(dict.fromkeys(row["name"] for row in rows))
    base = alt.Chart(data(list(rows))).encode(y=alt.Y("name:N", sort=names, title=None))
    marks = base.mark_bar(height=16).encode(
        x=alt.X("value:Q", title=title),
        color=alt.Color("ours:N", legend=None, scale=alt.Scale(domain=[True, False], range=[LINE, OTHERS])),
    )
    numbers = base.mark_text(align="left", dx=4, fontSize=13).encode(
        x="value:Q", text=alt.Text("value:Q", format=".3~g")
    )
    chart = alt.layer(marks, numbers).properties(width=280, height=24 * len(names))
    faceted = chart.facet(column=alt.Column("panel:N", title=None, sort=list({row["panel"]: 0 for row in rows})))
    return Picture(faceted, alt_text, rows)


def shares(rows: Sequence[Row], title: str, alt_text: str) -> Picture:
    """Return a picture of parts of wholes: a bar for each ``name``, of a ``value`` in % for each ``part``, up to 8."""
    names, parts = (list(dict.fromkeys(row[key] for row in rows)) for key in ("name", "part"))
    ordered = [{**row, "order": parts.index(row["part"])} for row in rows]
    chart = alt.Chart(data(ordered)).mark_bar(height=16)
    colours = alt.Scale(domain=parts, range=[look(at)[0] for at in range(len(parts))])
    chart = chart.encode(
        y=alt.Y("name:N", sort=names, title=None),
        x=alt.X("value:Q", title=title, stack=True, scale=alt.Scale(domain=[0, 100])),
        color=alt.Color("part:N", title=None, sort=parts, scale=colours),
        order=alt.Order("order:Q"),
    ).properties(width=560, height=24 * len(names))
    return Picture(chart, alt_text, rows)
