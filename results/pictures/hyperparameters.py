"""Pictures of hyperparameters: their importances, many beside each other, one over an objective; learning curves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import numpy as np

from spikefront.results.findings import Findings
from spikefront.results.importance import ENOUGH, is_number
from spikefront.results.pictures.front import Plane, behind
from spikefront.results.pictures.looks import (
    HEIGHT,
    LINE,
    WIDTH,
    across_title,
    axis,
    coding_scales,
    dimmed,
    picked,
    position,
    quality_label,
    tips,
)
from spikefront.results.pictures.picture import Picture, Row, data
from spikefront.searchspace import OBJECTIVES, Objective, Value
from spikefront.searchspace.errors import UnknownName, UsageError

_BAR: Final = 0.62
"""Part of a column of importances that a bar of 100 % takes; the rest is for its number."""
_DECADES: Final = 100.0
"""Largest over least value of a hyperparameter from which its axis is logarithmic."""
_FLAT: Final = 24
"""Most letters of choices that lie flat below an axis; of more they are turned."""
_BESIDE: Final = 4
"""Hyperparameters beside the objectives in parallel coordinates of which none were chosen."""


@dataclass(frozen=True)
class Column:
    """A hyperparameter's or objective's values by the names of trials, without those that have none.

    Attributes:
        title: its name, with the unit where the values' texts have none.
        values: the values.
        choices: the values as text, sorted, where not all are numbers.
        axis: the objective, or an axis for the numbers of a hyperparameter.
    """

    title: str
    values: Mapping[str, Value]
    choices: Sequence[str]
    axis: Objective

    @classmethod
    def of(cls, findings: Findings, name: str | Objective) -> Column:
        """Return the values of an objective, or of a hyperparameter, of the trials that pictures have room for.

        Raises:
            UnknownName: for a hyperparameter that none of them has.
        """
        trials = findings.shown
        if isinstance(name, Objective):
            unit = f" ({name.unit})" if name.unit and name.style == "number" else ""
            values = {one.name: position(one, name) for one in trials}
            return cls(name.heading(findings.quality) + unit, values, (), name)
        _known("hyperparameter", name, {name for one in trials for name in one.candidate})
        found = {one.name: one.candidate[name] for one in trials if name in one.candidate}
        are_numbers = all(map(is_number, found.values()))
        numbers = [float(value) for value in found.values()] if are_numbers else [0.0]
        log = min(numbers) > 0 and max(numbers) >= _DECADES * min(numbers)
        choices = [] if are_numbers else sorted({str(value) for value in found.values()})
        return cls(name, found, choices, Objective("value", maximize=True, worst=1.0, best=2.0, log=log))

    def heights(self) -> tuple[dict[str, float], list[Row]]:
        """Return the heights of values on an axis from 0 to 1, and of its texts: each choice, or three numbers."""
        place = {text: float(at) for at, text in enumerate(self.choices)}
        at = {key: place[str(one)] if place else self.axis.scaled(float(one)) for key, one in self.values.items()}
        low, high = min(at.values()), max(at.values())
        texts = {one: text if len(text) < 10 else f"{text[:8]}..." for text, one in place.items()}
        for one in () if place else {low, (low + high) / 2, high}:
            value = 10**one if self.axis.log else one
            plain = f"{value:.0f}" if value >= 100 else f"{value:.2g}"
            texts[one] = self.axis.format(value) if self.axis.style == "energy" else plain

        def height(one: float) -> float:
            return round((one - low) / (high - low), 4) if high > low else 0.5

        return {key: height(one) for key, one in at.items()}, [
            {"height": height(one), "text": text} for one, text in texts.items()
        ]


def hyperparameters(findings: Findings) -> list[str]:
    """Return the names of the hyperparameters that varied, the most important for the front first."""
    trials = [trial.candidate for trial in findings.comparable]
    varied = {name for one in trials for name, value in one.items() if value != trials[0].get(name)} - {"task", "seed"}
    shares = {row.name: row.share for row in findings.importances[0].rows if math.isfinite(row.share)}
    return sorted(varied, key=lambda name: (-shares.get(name, -1.0), name.count("."), name))


def _known(what: str, name: str, names: Iterable[str]) -> str:
    """Return a name that is among those known, or raise ``UnknownName``."""
    if name not in (names := set(names)):
        raise UnknownName(what, name, names)
    return name


def importance_picture(findings: Findings, most: int = 12) -> Picture:
    """Return the share of the variance that each hyperparameter explains: a column for the front and each objective.

    Args:
        findings: the search.
        most: hyperparameters that are drawn, those with the largest shares.

    Raises:
        UsageError: when there are too few trials to tell, or nothing varied.
    """
    each = [one for one in findings.importances if one.rows]
    if not each:
        count = len(findings.comparable)
        why = f"only {count} trials that can be compared, {ENOUGH} are needed" if count < ENOUGH else "nothing varied"
        raise UsageError(f"search {findings.name!r} has no importances: {why}")
    titles = [one.axis.heading(findings.quality) for one in each]
    rows: list[Row] = [
        {"at": at, "name": row.name, "objective": titles[at], "share": row.share, "trials": row.trials}
        for at, one in enumerate(each)
        for row in one.rows
        if math.isfinite(row.share)
    ]
    names = list(dict.fromkeys(row["name"] for row in sorted(rows, key=lambda row: -row["share"])))[:most]
    rows = [row | {"end": row["at"] + _BAR * row["share"]} for row in rows if row["name"] in names]
    label = f"{json.dumps([title.removeprefix('the ') for title in titles])}[datum.value]"
    across = alt.Axis(values=list(range(len(each))), labelExpr=label, orient="top", labelAlign="left", ticks=False)
    across.labelOverlap, across.labelFontSize = False, 14
    base = alt.Chart(data(rows)).encode(
        x=alt.X("end:Q", title=None, scale=alt.Scale(domain=[0, len(each)], nice=False), axis=across),
        y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(domain=False, ticks=False)),
        tooltip=tips("name:N", "objective:N", alt.Tooltip("share:Q", format=".0%"), "trials:Q"),
    )
    bars = base.mark_bar(color=LINE, height={"band": 0.6}).encode(x2=alt.X2("at:Q"))
    numbers = base.mark_text(align="left", dx=3, fontSize=14).encode(text=alt.Text("share:Q", format=".0%"))
    chart = alt.layer(bars, numbers, width=WIDTH, height=26 * len(names))
    best = ", ".join(f"{one.rows[0].name} for {title}" for one, title in zip(each, titles, strict=True))
    return Picture(chart, f"What mattered most in search {findings.name}: {best}", rows)


def parallel_picture(findings: Findings, names: Sequence[str] | None = None, most: int = 300) -> Picture:
    """Return parallel coordinates: a line for each trial across objectives and hyperparameters; the front is strong.

    A line is broken where a trial does not have a hyperparameter.

    Args:
        findings: the search.
        names: hyperparameters; the four most important for the front if none are given.
        most: trials behind the front that are drawn; of more, as many at random.

    Raises:
        UnknownName: for a hyperparameter that no comparable trial has.
        UsageError: when there is no comparable trial.
    """
    plane = _plane(findings)
    chosen = hyperparameters(findings)[:_BESIDE] if names is None else names
    wanted: list[str | Objective] = [*findings.objectives, *chosen]
    columns = [Column.of(findings, one) for one in wanted]
    titles = [column.title for column in columns]
    heights = [column.heights() for column in columns]
    keys = [f"v{at}" for at in range(len(columns))]
    members = {trial.name for trial in findings.members}
    drawn = [*behind(findings, most), *findings.members]
    rows = [
        plane.row(trial, **{key: by.get(trial.name) for key, (by, _) in zip(keys, heights, strict=True)})
        for trial in drawn
    ]
    texts = [{"key": key, **text} for key, (_, beside) in zip(keys, heights, strict=True) for text in beside]
    label = f"{json.dumps(dict(zip(keys, titles, strict=True)))}[datum.value]"
    x = alt.X("key:N", title=None, sort=keys, scale=alt.Scale(type="point", padding=0.3)).axis(
        labelExpr=label, labelAngle=-35, labelLimit=130, grid=True, gridOpacity=0.6, ticks=False, domain=False
    )
    y = alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[-0.03, 1.05], nice=False))
    scales = coding_scales(findings.codings)

    def lines(wanted: bool, opacity: float, width: float) -> list[alt.Chart]:
        some = [row for row in rows if (str(row["trial"]) in members) == wanted]
        base = alt.Chart(data(some)).transform_fold([*keys], as_=["key", "height"])
        base = base.encode(x=x, y=y, color=scales["color"], tooltip=plane.tooltip())
        line = base.mark_line(strokeWidth=width, invalid="break-paths-filter-domains")
        point = base.mark_point(filled=True, size=5 * width, invalid="filter").encode(fillOpacity=dimmed(opacity))
        # the opacity of a whole mark makes a PNG take seconds: 7.3 s of processor time for 200 trials
        return [line.encode(detail=alt.Detail("trial:N"), strokeOpacity=dimmed(opacity)), point]

    beside = (
        alt.Chart(data(texts))
        .mark_text(align="left", dx=4, dy=-8, fontSize=14)
        .encode(x=x, y=y, text=alt.Text("text:N"))
    )
    layers = [*lines(False, 0.15, 1.0), *lines(True, 0.9, 2.2), beside]
    chart = alt.layer(*layers, width=WIDTH, height=HEIGHT).add_params(picked())
    table: list[Row] = [
        {"trial": trial.label, "front": trial.name in members}
        | {title: column.values.get(trial.name) for title, column in zip(titles, columns, strict=True)}
        for trial in drawn
    ]
    return Picture(chart, f"Trials of search {findings.name} across {', '.join(titles)}", table)


def slice_picture(findings: Findings, name: str, objective: str | None = None, most: int = 2_000) -> Picture:
    """Return one hyperparameter against an objective; members of the front are strong.

    Args:
        findings: the search.
        name: the hyperparameter.
        objective: the objective; quality if none is given.
        most: trials behind the front that are drawn; of more, as many at random.

    Raises:
        UnknownName: for a hyperparameter that no comparable trial has, or an objective that the search does not have.
        UsageError: when there is no comparable trial.
    """
    plane = _plane(findings)
    up = _axis(findings, "objective", objective or findings.quality, findings.objectives)
    column, jitter = Column.of(findings, name), np.random.default_rng(0)
    members = {one.name for one in findings.members}
    rows = [
        plane.row(
            one,
            x=str(column.values[one.name]) if column.choices else float(column.values[one.name]),
            y=position(one, up),
            value=str(column.values[one.name]),
            aside=float(jitter.random()),
            front=one.name in members,
        )
        for one in (*behind(findings, most), *findings.members)
        if one.name in column.values
    ]
    y = alt.Y("y:Q", **axis(up, [row["y"] for row in rows], _title(findings, up)))
    if column.choices:
        angle = 0 if sum(map(len, column.choices)) <= _FLAT else -35
        x: dict[str, Any] = {"x": alt.X("x:N", title=name).axis(labelAngle=angle, labelLimit=130)}
        x["xOffset"] = alt.XOffset("aside:Q", scale=alt.Scale(domain=[-0.5, 1.5]))
    else:
        x = {"x": alt.X("x:Q", **axis(column.axis, [row["x"] for row in rows], name))}
    scales, tooltip = coding_scales(findings.codings), plane.tooltip(alt.Tooltip("value:N", title=name))

    def points(wanted: bool, opacity: float, size: int) -> alt.Chart:
        base = alt.Chart(data([row for row in rows if row["front"] == wanted])).mark_point(filled=True, size=size)
        chart: alt.Chart = base.encode(**x, y=y, **scales, opacity=dimmed(opacity), tooltip=tooltip)
        return chart

    chart = alt.layer(points(False, 0.35, 35), points(True, 1.0, 110), width=WIDTH, height=HEIGHT)
    told = f"{_title(findings, up)} over {name} of search {findings.name}"
    return Picture(chart.add_params(picked()), told, rows)


def learning_picture(findings: Findings, metric: str = "quality") -> Picture:
    """Return a metric of members of the front by epoch, of at most 24, evenly spaced; of points that of their trials.

    Args:
        findings: the search.
        metric: ``quality``, ``energy``, ``spike-rate``, or another objective of the search.

    Raises:
        UnknownName: for a metric that is not known by epoch.
        UsageError: when no epoch of a member is known.
    """
    axes = curved(findings)
    if not axes:
        raise UsageError(f"search {findings.name!r} has no learning curves: its store has no epochs of its members")
    up = _axis(findings, "metric", metric, axes.values())
    trials = {trial.name: trial for trial in findings.trials}
    rows: list[Row] = [
        {
            "trial": trials[name].label,
            "coding": trials[name].coding,
            "epoch": epoch,
            "text": up.format(values[up.metric]),
        }
        | {"value": max(values[up.metric], -math.inf if up.floor is None else up.floor)}
        for name, epochs in findings.curves.items()
        for epoch, values in epochs.items()
        if up.metric in values and up.problem(values) is None
    ]
    epochs = sorted({row["epoch"] for row in rows})
    ticks = epochs[:: -(-len(epochs) // 10)]
    y = alt.Y("value:Q", **axis(up, [row["value"] for row in rows], _title(findings, up)))
    text = alt.Tooltip("text:N", title=up.heading(findings.quality))
    scales = coding_scales(findings.codings)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("epoch:Q", axis=alt.Axis(values=ticks, format="d")).scale(zero=False, nice=False, padding=8),
        y=y,
        color=scales["color"],
        opacity=dimmed(0.9),
        tooltip=tips("trial:N", "coding:N", "epoch:Q", text),
    )
    line = base.mark_line(strokeWidth=2).encode(detail=alt.Detail("trial:N"))
    points = base.mark_point(filled=True, size=30).encode(shape=scales["shape"])
    chart = alt.layer(line, points, width=WIDTH, height=HEIGHT).add_params(picked())
    return Picture(chart, f"{_title(findings, up)} of members of the front of search {findings.name} by epoch", rows)


def curved(findings: Findings) -> dict[str, Objective]:
    """Return the metrics that are known by epoch, by name."""
    found = {name for epochs in findings.curves.values() for values in epochs.values() for name in values}
    return {one.metric: one for one in (*OBJECTIVES.values(), *findings.objectives) if one.metric in found}


def _plane(findings: Findings) -> Plane:
    if not findings.comparable:
        raise UsageError(f"search {findings.name!r} has no trial that was evaluated at full budget: nothing to draw")
    return Plane.of(findings)


def _title(findings: Findings, up: Objective) -> str:
    return quality_label(findings.quality, up) if up.metric == "quality" else across_title(up)


def _axis(findings: Findings, what: str, name: str, axes: Iterable[Objective]) -> Objective:
    """Return an objective by its heading, name or metric."""
    of = {each: one for one in axes for each in (one.metric, one.name, one.heading(findings.quality))}
    return of[_known(what, name, of)]
