"""Picture of a recommendation: quality over energy budget, a band for each coding, and which one leads where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from spikefront.results.findings import Findings
from spikefront.results.pictures.looks import HEIGHT, WIDTH, axis, coding_scales, quality_label, tips
from spikefront.results.pictures.picture import INK, Picture, Row, data
from spikefront.results.recommendation.document import arms_in, segments_in
from spikefront.results.recommendation.evidence import Arm, Evidence
from spikefront.results.recommendation.segments import Segment
from spikefront.searchspace import ENERGY, Objective, Trial

_STRIP: Final = 22
"""Height of the strip that says which coding leads, in pixels."""
_ROOM: Final = 0.12
"""Share of the height that it takes."""
_NAMED: Final = 0.36
"""Least share of the width at which a range of the strip has room for the name of its coding at 400 pixels."""
_NUMBERED: Final = 0.09
_SURE: Final = {True: 0.9, False: 0.3}
"""Opacity of the strip, where one coding leads surely and where it does not."""


def recommendation_picture(findings: Findings) -> Picture:
    """Return quality over energy budget of each coding, and a strip that says which leads where, and how surely.

    After ``spikefront recommend`` bands are 95 % intervals over seeds, of the best candidate within each budget. Before
    it, and for codings without repeats, dashed lines are the best of the search, on one seed.

    Args:
        findings: the search.
    """
    found = findings.recommended
    evidence = Evidence(arms_in(found), findings.objectives)
    return repeats_picture(
        findings.name, findings.quality, findings.codings, evidence, segments_in(found), findings.shown
    )


def repeats_picture(
    name: str,
    quality: str,
    codings: Sequence[str],
    evidence: Evidence,
    segments: Sequence[Segment],
    trials: Sequence[Trial],
) -> Picture:
    """Return the picture of candidates with their repeats.

    Args:
        name: name of the search.
        quality: the task's own name for quality.
        codings: all codings of the search, sorted.
        evidence: the candidates.
        segments: the answer along the energy axis.
        trials: those of the search, for codings without repeats.
    """
    up = evidence.objectives[0]
    repeated = [arm for arm in evidence.arms if arm.repeats]
    single = [one for one in trials if math.isfinite(one.metrics.get(ENERGY.metric, math.nan))]
    known = {arm.trial.coding for arm in repeated}
    dashed = [one for one in single if one.coding not in known]
    xs = [max(x, ENERGY.floor or 0.0) for x in (
        *(arm.mean(ENERGY.metric) for arm in repeated), *(one.metrics[ENERGY.metric] for one in single)
    )]  # fmt: skip
    right = max(xs, default=1.0) * 1.15
    bands = [row for coding in sorted(known) for row in _band(coding, repeated, evidence, right)]
    lines = [row for coding in codings for row in _line(coding, dashed, up, right)]
    strip = _strip(segments, right) if segments else _one_seed(single, up, right)
    ys = [row[at] for row in bands for at in ("y", "low", "high")] + [row["y"] for row in lines]
    channels = _channels(xs, ys, right, quality, up)
    colour = coding_scales(codings)["color"]
    reached = [alt.Tooltip("coding:N"), alt.Tooltip("told:N", title=quality), alt.Tooltip("energy:N")]
    step: dict[str, Any] = {"interpolate": "step-after", "clip": True}
    order, low = alt.Order("at:Q"), channels["y"].copy()
    low.shorthand = "low:Q"
    layers = [
        alt.Chart(data(bands)).mark_area(opacity=0.18, **step).encode(
            x=channels["x"], y=low, y2=alt.Y2("high:Q"), color=colour
        ),
        alt.Chart(data(bands)).mark_line(strokeWidth=2, **step).encode(
            **channels, color=colour, order=order, tooltip=tips(*reached)
        ),
        alt.Chart(data(lines)).mark_line(strokeWidth=1.6, strokeDash=[4, 3], **step).encode(
            **channels, color=colour, order=order, tooltip=tips(*reached)
        ),
        *_strip_layers(strip, channels["x"], colour),
    ]  # fmt: skip
    chart = alt.layer(*layers, width=WIDTH, height=HEIGHT)
    return Picture(chart, _told(name, quality, strip, bool(segments)), [*bands, *lines, *strip])


def _channels(xs: Sequence[float], ys: Sequence[float], right: float, quality: str, up: Objective) -> dict[str, Any]:
    """Return both positions; below the lines there is room for the strip."""
    low, high = min(ys, default=0.0), max(ys, default=1.0)
    spare = 0.04 * (high - low) or max(0.05 * abs(high), 0.1)
    floor = low - spare - _ROOM / (1 - _ROOM) * (high - low + 2 * spare)
    across = axis(ENERGY, [*xs, right], "energy budget per sample")
    y = axis(up, [low, high], quality_label(quality, up))
    y["scale"] = alt.Scale(domain=[floor, high + spare], nice=False)
    return {"x": alt.X("x:Q", **across), "y": alt.Y("y:Q", **y)}


def _band(coding: str, arms: Sequence[Arm], evidence: Evidence, right: float) -> list[Row]:
    """Return the corners of the mean of the best candidate within each budget, with its interval."""
    rows: list[Row] = []
    best = -math.inf
    for arm in sorted((one for one in arms if one.trial.coding == coding), key=lambda one: one.mean(ENERGY.metric)):
        spread = evidence.spread(arm)
        if spread is None or evidence.sign * spread.mean <= best:
            continue
        best = evidence.sign * spread.mean
        low, high = (spread.mean if math.isnan(end) else end for end in (spread.low, spread.high))
        interval = f" ({low:.4f} to {high:.4f}, {spread.seeds} seeds)" if spread.seeds > 1 else " (one seed)"
        rows.append({
            "coding": coding, "trial": arm.name, "x": arm.mean(ENERGY.metric), "y": spread.mean, "low": low,
            "high": high, "told": f"{spread.mean:.4f}{interval}", "energy": ENERGY.format(arm.mean(ENERGY.metric)),
        })  # fmt: skip
    return _numbered(rows, right)


def _line(coding: str, trials: Sequence[Trial], up: Objective, right: float) -> list[Row]:
    """Return the corners of the best quality of the search within each budget."""
    rows: list[Row] = []
    best = math.inf
    for one in sorted((one for one in trials if one.coding == coding), key=lambda one: one.metrics[ENERGY.metric]):
        quality, energy = one.metrics["quality"], one.metrics[ENERGY.metric]
        if up.loss(quality) < best:
            best = up.loss(quality)
            told = {"told": f"{quality:.4f} (one seed)", "energy": ENERGY.format(energy)}
            rows.append({"coding": coding, "trial": one.name, "x": energy, "y": quality, **told})
    return _numbered(rows, right)


def _numbered(rows: Sequence[Row], right: float) -> list[Row]:
    """Return corners in their order, the last one once more at the right edge, none left of what the axis can show."""
    ends = [*rows, {**rows[-1], "x": right}] if rows else []
    return [{**row, "x": max(row["x"], ENERGY.floor or 0.0), "at": at} for at, row in enumerate(ends)]


def _strip(segments: Sequence[Segment], right: float) -> list[Row]:
    """Return the ranges of the strip by what repeats say."""
    rows: list[Row] = []
    for one in segments:
        known = "" if math.isnan(one.probability) else f"{one.probability:.2f}"
        told = f"{one.coding}, the best with probability {known}" if one.decided else f"tied: {', '.join(one.tied)}"
        end = min(one.end_nj, right)
        rows.append({"x": one.start_nj, "x2": end, "coding": one.coding, "sure": one.decided, "told": told,
                     "number": known if one.decided else "tied"})  # fmt: skip
    return _labelled([row for row in rows if row["x2"] > row["x"]])


def _one_seed(trials: Sequence[Trial], up: Objective, right: float) -> list[Row]:
    """Return the ranges of the strip by the search alone: the best quality within each budget, on one seed."""
    rows: list[Row] = []
    best = math.inf
    for one in sorted(trials, key=lambda one: one.metrics[ENERGY.metric]):
        if up.loss(one.metrics["quality"]) >= best:
            continue
        best = up.loss(one.metrics["quality"])
        if rows:
            rows[-1]["x2"] = one.metrics[ENERGY.metric]
        if not rows or rows[-1]["coding"] != one.coding:
            told = f"{one.coding}, by one seed: not decided"
            rows.append({"x": one.metrics[ENERGY.metric], "x2": right, "coding": one.coding, "sure": False,
                         "told": told, "number": "?"})  # fmt: skip
        rows[-1]["x2"] = right
    return _labelled([row for row in rows if row["x2"] > row["x"]])


def _labelled(rows: Sequence[Row]) -> list[Row]:
    """Return ranges with their middles and the texts that they have room for."""
    least = ENERGY.floor or 1e-6
    rows = [{**row, "x": max(row["x"], least), "x2": max(row["x2"], least)} for row in rows]
    whole = (
        math.log(max((row["x2"] for row in rows), default=1.0) / min((row["x"] for row in rows), default=1.0)) or 1.0
    )
    found = []
    for row in rows:
        share = math.log(row["x2"] / row["x"]) / whole
        label = f"{row['coding']} {row['number']}" if share >= _NAMED else row["number"] if share >= _NUMBERED else ""
        found.append({**row, "middle": math.sqrt(row["x"] * row["x2"]), "label": label})
    return found


def _strip_layers(strip: Sequence[Row], across: alt.X, colour: alt.Color) -> list[alt.Chart]:
    """Return the strip at the foot of the view: ranges in the colour of their coding, pale where it is not decided."""
    if not strip:
        return []
    opacity = alt.Opacity("sure:O", legend=None).scale(domain=[True, False], range=[_SURE[True], _SURE[False]])
    ranges = alt.Chart(data(strip)).mark_rect(stroke=INK, strokeWidth=0.5, clip=True)
    texts = alt.Chart(data(strip)).mark_text(fontSize=14, fontWeight=600, color=INK)
    middle = across.copy()
    middle.shorthand = "middle:Q"
    return [
        ranges.encode(
            x=across, x2=alt.X2("x2:Q"), y=alt.value(HEIGHT - _STRIP), y2=alt.value(HEIGHT), color=colour,
            opacity=opacity, tooltip=tips(alt.Tooltip("told:N", title="leads")),
        ),
        texts.encode(x=middle, y=alt.value(HEIGHT - _STRIP - 10), text=alt.Text("label:N")),
    ]  # fmt: skip


def _told(name: str, quality: str, strip: Sequence[Row], repeated: bool) -> str:
    how = "over seeds" if repeated else "on one seed, so that nothing is decided"
    ranges = "; ".join(f"from {ENERGY.format(row['x'])} {row['told']}" for row in strip[:8])
    return f"Best {quality} of each coding of search {name} over the energy budget, {how}: {ranges}"
