"""Picture of one network that stops early: quality over energy, for fixed numbers of steps and for exits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from spikefront.results.pictures.looks import HEIGHT, WIDTH, coding_scales, edges, tips
from spikefront.results.pictures.picture import Picture, Row, data

FIXED: Final = "fixed steps"
"""Name of the curve of the network that stops after the same step for all samples."""


def exits_picture(rows: Sequence[Row], of: str, quality: str) -> Picture:
    """Return quality over energy: a line for fixed steps, and one for the exits of each rule.

    Args:
        rows: points, with ``curve`` (``FIXED``, or a rule), ``threshold`` (as text), ``energy_nj``, ``quality`` and
            ``steps``; those that were chosen have a true ``chosen``.
        of: whose they are.
        quality: name of the quality.
    """
    curves = list(dict.fromkeys(row["curve"] for row in rows))
    drawn = [{**row, "coding": row["curve"], "at": at} for at, row in enumerate(rows)]
    low, high = edges([row["energy_nj"] for row in rows], log=True)
    labels = alt.Axis(format="~g", tickCount=6)
    places: dict[str, Any] = {
        "x": alt.X("energy_nj:Q", title="energy per sample (nJ)", axis=labels).scale(
            type="log", domain=[low, high], nice=False
        ),
        "y": alt.Y("quality:Q", title=f"{quality} (validation)").scale(zero=False),
    }
    scales = coding_scales(curves)
    shown = tips("coding:N", "threshold:N", "steps:Q", "energy_nj:Q", "quality:Q")
    chart = alt.layer(
        alt.Chart(data(drawn))
        .mark_line(strokeWidth=1.4, opacity=0.7)
        .encode(**places, color=scales["color"], order=alt.Order("energy_nj:Q")),
        alt.Chart(data(drawn)).mark_point(filled=True, size=45).encode(**places, **scales, tooltip=shown),
        alt.Chart(data([row for row in drawn if row.get("chosen")]))
        .mark_point(size=260, strokeWidth=2)
        .encode(**places, color=scales["color"]),
    ).properties(width=WIDTH, height=HEIGHT, title=f"stopping early: {of}")
    fixed, others = (sum((row["curve"] == FIXED) is wanted for row in rows) for wanted in (True, False))
    told = (
        f"{quality} over energy of {of}, stopped after {fixed} fixed numbers of steps and by {others} exits; "
        "a ring marks the cheapest of both that were allowed"
    )
    return Picture(chart, told, list(rows))
