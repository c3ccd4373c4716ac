"""Pictures of fronts: quality over energy of a search, of its codings, and the hypervolume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import altair as alt
import numpy as np

from spikefront.results.findings import Findings
from spikefront.results.pictures.looks import (
    CHOSEN,
    HEIGHT,
    LINE,
    WIDTH,
    across_title,
    axis,
    coding_scales,
    dimmed,
    edges,
    picked,
    position,
    quality_label,
    tips,
)
from spikefront.results.pictures.picture import INK, Picture, Row, data
from spikefront.searchspace import Objective, Trial
from spikefront.searchspace.front import losses, nondominated

_DRAG: Final = "[pointerdown[!event.shiftKey], window:pointerup] > window:pointermove!"
_SHIFT_DRAG: Final = "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!"
_UNITS: Final = (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0))
_SEGMENTS: Final = 400
"""Most points of a line over trials or time."""


@dataclass(frozen=True)
class Plane:
    """Plane of quality over energy, or over the last axis where energy is not an objective.

    Attributes:
        objectives: axes of the search.
        quality: the task's own name for quality.
        across: the horizontal axis.
        shown: trials that have room in it.
    """

    objectives: Sequence[Objective]
    quality: str
    across: Objective
    shown: Sequence[Trial]

    @classmethod
    def of(cls, findings: Findings) -> Plane:
        """Return the plane of a search."""
        return cls(findings.objectives, findings.quality, findings.front.across, findings.shown)

    @cached_property
    def channels(self) -> dict[str, Any]:
        """Both positions, as channels of the fields ``x`` and ``y``."""
        up = self.objectives[0]
        xs, ys = ([position(trial, axis) for trial in self.shown] for axis in (self.across, up))
        return {
            "x": alt.X("x:Q", **axis(self.across, xs, across_title(self.across))),
            "y": alt.Y("y:Q", **axis(up, ys, quality_label(self.quality, up))),
        }

    def row(self, trial: Trial, **more: object) -> Row:
        """Return the mark of a trial, with what it reached on each axis as text."""
        texts = {f"t{at}": axis.format(trial.metrics.get(axis.metric)) for at, axis in enumerate(self.objectives)}
        places = {"x": position(trial, self.across), "y": position(trial, self.objectives[0])}
        return {"trial": trial.label, "coding": trial.coding, **places, **texts, **more}

    def tooltip(self, *more: alt.Tooltip) -> list[alt.Tooltip]:
        """Return what is shown when a mark of ``row`` is pointed at."""
        reached = [alt.Tooltip(f"t{at}:N", title=one.heading(self.quality)) for at, one in enumerate(self.objectives)]
        return tips("trial:N", "coding:N", *reached, *more)

    def steps(self, members: Sequence[Trial], **more: object) -> list[Row]:
        """Return the corners of the best quality for each budget, up to the edge; only what counts in this plane."""
        up = self.objectives[0]
        points = [[trial.metrics[axis.metric] for axis in (up, self.across)] for trial in members]
        kept = nondominated(losses(points, (up, self.across)))
        stairs = [trial for trial, stays in zip(members, kept, strict=True) if stays]
        stairs.sort(key=lambda trial: self.across.loss(trial.metrics[self.across.metric]))
        rows = [{"x": position(one, self.across), "y": position(one, up), **more} for one in stairs]
        low, high = edges([position(trial, self.across) for trial in self.shown], self.across.log)
        end = [{**rows[-1], "x": low if self.across.maximize else high}] if rows else []
        return [{"at": at, **row} for at, row in enumerate([*rows, *end])]


def behind(findings: Findings, most: int) -> list[Trial]:
    """Return the trials behind the front that have room: all, or as many as are wanted, at random."""
    members = {trial.name for trial in findings.members}
    others = [trial for trial in findings.shown if trial.name not in members]
    if len(others) > most:
        chosen = np.random.default_rng(0).choice(len(others), most, replace=False)
        others = [others[at] for at in sorted(chosen)]
    return others


def front_picture(findings: Findings, most: int = 10_000) -> Picture:
    """Return the front: quality over energy, other judged trials faint, the knee ringed, losers to twins struck.

    Drag selects trials; Ctrl and the wheel zoom, Shift and drag move, a double click ends both.

    Args:
        findings: the search.
        most: trials behind the front that are drawn; of more, as many at random.
    """
    plane = Plane.of(findings)
    faint = [plane.row(one, place="behind") for one in behind(findings, most)]
    members = [plane.row(one, place="front", told=findings.describe(one)) for one in findings.members]
    scales = coding_scales(findings.codings)
    base = alt.Chart().encode(**plane.channels, **scales, tooltip=plane.tooltip())
    brush = alt.selection_interval(name="brush", on=_DRAG, translate=_DRAG, zoom=False)
    zoom = alt.selection_interval(
        name="zoom", bind="scales", on=_SHIFT_DRAG, translate=_SHIFT_DRAG, zoom="wheel![event.ctrlKey || event.metaKey]"
    )
    layers = [
        base.mark_point(filled=True, size=35, clip=True)
        .encode(opacity=dimmed(0.35))
        .properties(data=data(faint))
        .add_params(brush, zoom),
        _steps(plane.steps(findings.members), plane.channels),
        base.mark_point(filled=True, size=110, stroke="white", strokeWidth=0.8, clip=True)
        .encode(opacity=dimmed(), description=alt.Description("told:N"))
        .properties(data=data(members)),
        *_notes(findings, plane),
        _ring([*members, *faint], plane),
    ]
    across = findings.front.across.heading(findings.quality)
    told = f"Front of search {findings.name}: {findings.quality} over {across}, {len(members)} members"
    chart = alt.layer(*layers, width=WIDTH, height=HEIGHT)
    chart = chart.add_params(picked(), alt.param(name=CHOSEN, value=None))
    return Picture(chart, told, [*members, *faint])


def _ring(rows: Sequence[Row], plane: Plane) -> alt.Chart:
    """Return a ring around the trial that is chosen in a page; nothing elsewhere."""
    ring = alt.Chart(data(rows)).mark_point(size=320, strokeWidth=2.5, color=INK, clip=True)
    chart: alt.Chart = ring.transform_filter(f"datum.trial === {CHOSEN}").encode(**plane.channels)
    return chart


def _steps(rows: Sequence[Row], channels: dict[str, Any]) -> alt.Chart:
    line = alt.Chart(data(rows)).mark_line(interpolate="step-after", strokeWidth=1.6, color=INK, clip=True)
    chart: alt.Chart = line.encode(**channels, order=alt.Order("at:Q"))
    return chart


def _notes(findings: Findings, plane: Plane) -> list[alt.Chart]:
    """Return the ring around the knee, and strokes through the members that lose to a twin."""
    notes = []
    if findings.knee is not None and len(findings.members) > 2:
        knee = alt.Chart(data([plane.row(findings.knee, text="knee")])).encode(**plane.channels)
        notes.append(knee.mark_point(size=420, color=INK, strokeDash=[3, 2], clip=True))
        notes.append(knee.mark_text(dx=14, dy=16, align="left", fontWeight=600).encode(text=alt.Text("text:N")))
    if lost := [plane.row(one) for one in findings.members if one.name in findings.losers]:
        stroke = alt.Chart(data(lost)).mark_point(shape="stroke", angle=135, size=300, color=INK, clip=True)
        notes.append(stroke.encode(**plane.channels))
    return notes


def codings_picture(findings: Findings) -> Picture:
    """Return the fronts of the codings over each other."""
    plane = Plane.of(findings)
    lines = [row for name, front in findings.fronts.items() for row in plane.steps(front.members, coding=name)]
    rows = [plane.row(one) for front in findings.fronts.values() for one in front.members]
    scales = coding_scales(findings.codings)
    layers = [
        _steps(lines, plane.channels).encode(color=scales["color"], detail=alt.Detail("coding:N")),
        alt.Chart(data(rows))
        .mark_point(filled=True, size=70, clip=True)
        .encode(**plane.channels, **scales, opacity=dimmed(), tooltip=plane.tooltip()),
    ]
    chart = alt.layer(*layers, width=WIDTH, height=HEIGHT).add_params(picked())
    return Picture(chart, f"The front of each coding of search {findings.name} by itself", rows)


def hypervolume_picture(findings: Findings, over: str = "trials") -> Picture:
    """Return the hypervolume of the front over judged trials, or over time.

    Args:
        findings: the search.
        over: ``trials`` or ``time``.
    """
    values = findings.front.curve
    xs: Iterable[float] = (
        range(1, len(values) + 1) if over == "trials" else (one.ended_s for one in findings.comparable)
    )
    title, size = "trials judged at full budget", 1.0
    if over == "time":
        unit, size = next((each for each in _UNITS if findings.seconds >= 2 * each[1]), _UNITS[-1])
        title = f"time from the start ({unit})"
    rows = _changes([0.0, *(x / size for x in xs)], [0.0, *values])
    last = len(values) if over == "trials" else findings.seconds / size
    rows.append({**rows[-1], "x": max(last, rows[-1]["x"])})
    line = alt.Chart(data(rows)).mark_line(interpolate="step-after", strokeWidth=2, color=LINE)
    chart = line.encode(
        x=alt.X("x:Q", title=title, axis=alt.Axis(tickCount=7)),
        y=alt.Y("hypervolume:Q", scale=alt.Scale(zero=True)),
        tooltip=tips(alt.Tooltip("x:Q", title=title, format=".4~g"), alt.Tooltip("hypervolume:Q", format=".4f")),
    ).properties(width=WIDTH, height=220)
    return Picture(chart, f"Hypervolume over {title}: {values[-1] if values else 0:.4f} at the end", rows)


def _changes(xs: Sequence[float], ys: Sequence[float]) -> list[Row]:
    """Return where a step function changes; of very many changes, as many as can be seen."""
    places = [at for at in range(len(xs)) if at == 0 or ys[at] != ys[at - 1]]
    thin = max(1, -(-len(places) // _SEGMENTS))
    kept = [at for place, at in enumerate(places) if place % thin == 0 or place == len(places) - 1]
    return [{"x": xs[at], "hypervolume": ys[at]} for at in kept]
