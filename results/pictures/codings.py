"""Pictures of codings: an image and a ramp of values, and what a coding makes of them step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import altair as alt
import numpy as np

from spikefront.results.pictures.looks import LINE
from spikefront.results.pictures.picture import INK, Picture, Row, data

if TYPE_CHECKING:
    from spikefront.plugins.response import Array, Response, Stage

_WIDTH: Final = 720
_GAP: Final = 4
_TEXT: Final = 22
"""Height of a row of text."""
_RAMP: Final = 192
_MOST_STEPS: Final = 16
_MOST_CHANNELS: Final = 8
_LOOKS: Final = {"spike": LINE, "negative spike": "#D55E00", "real value": INK}
_WORDS: Final = {
    "binary": "spikes",
    "ternary": "signed spikes",
    "count": "several spikes at once",
    "signed": "sums of signed spikes",
    "power": "spikes worth powers of two",
    "analog": "real values",
}


def coding_picture(response: Response) -> Picture:
    """Return what a coding makes of an image and, below, of a ramp: a column for the input, and one for each step.

    Spikes are blue, negative ones orange, and paler where they are smaller; real values, which are no spikes, are grey.
    Of many steps the first 16 are drawn, of many channels the first 8.
    """
    steps = min(response.steps, _MOST_STEPS)
    side = max(stage.image.shape[-1] for stage in response.stages)
    inner = side * max(2, (_WIDTH // max(5, steps + 1) - 2 * _GAP) // side)
    lefts = [_GAP + column * (inner + 2 * _GAP) for column in range(steps + 1)]
    (frames, image), (raster, ramp) = _frames(response, lefts, inner), _raster(response, lefts, inner)
    title, told = _told(response)
    chart = alt.vconcat(image, ramp, spacing=8).properties(title=alt.Title(title, subtitle=told))
    return Picture(chart, "; ".join([title, *told]), [*frames, *raster])


def _frames(response: Response, lefts: Sequence[float], inner: float) -> tuple[list[Row], Any]:
    """Return the image and the frames of each stage: the squares, and the chart of them."""
    given, steps = response.stages[0], range(len(lefts) - 1)
    squares: list[Row] = []
    ground: list[Row] = []
    texts: list[Row] = []
    labels: dict[float, str] = {}
    top = float(_GAP)
    for label, stage, channel in _lines(response):
        if channel == 0 and (words := _weights(stage, steps)):
            labels[top + _TEXT / 2] = "mean, where not 0" if stage.worth is None else "a spike is worth"
            at = zip(lefts[1:], words, strict=True)
            texts += [{"x": left + inner / 2, "y": top + _TEXT / 2, "text": text} for left, text in at]
            top += _TEXT
        labels[top + inner / 2] = label
        if not response.events and not squares:
            squares += _squares(given, "input", given.image[0, 0], (lefts[0], top, inner, inner))
        for step in steps:
            left = lefts[step + 1]
            ground.append({"x": left, "x2": left + inner, "y": top, "y2": top + inner})
            squares += _squares(stage, step + 1, stage.image[step, channel], (left, top, inner, inner))
        top += inner + 2 * _GAP
    ends = [0, lefts[-1] + inner + _GAP]
    places = {"x": alt.X("x:Q", **_across(ends, {})), "y": alt.Y("y:Q", **_across([top, 0], labels))}
    layers = [
        alt.Chart(data(ground))
        .mark_rect(color=INK, opacity=0.08)
        .encode(**places, x2=alt.X2("x2:Q"), y2=alt.Y2("y2:Q")),
        _drawn(squares, places),
        alt.Chart(data(texts)).mark_text(fontSize=13 if inner > 45 else 10).encode(**places, text=alt.Text("text:N")),
    ]
    return squares, alt.layer(*layers).properties(width=ends[1], height=top)


def _raster(response: Response, lefts: Sequence[float], inner: float) -> tuple[list[Row], Any]:
    """Return the ramp and what its neurons emit, channels of a step beside each other: the squares, and their chart."""
    given, last, levels = response.stages[0], response.stages[-1], response.levels
    spacing, channels = float(levels[1] - levels[0]), min(last.ramp.shape[2], _MOST_CHANNELS)
    low, high = float(levels[0]) - spacing / 2, float(levels[-1]) + spacing / 2
    squares = [*_squares(given, "input", levels[:, None], (lefts[0], low, inner, high - low))]
    for step, left in enumerate(lefts[1:]):
        squares += _squares(last, step + 1, last.ramp[step, :, :channels], (left, low, inner, high - low))
    columns = {left + inner / 2: str(column or "input") for column, left in enumerate(lefts)}
    beside = "OFF and ON" if response.events and channels == 2 else "channels"
    title = "time step" if channels == 1 else f"time step, with {beside} beside each other"
    ends = [0, lefts[-1] + inner + _GAP]
    up = _across([low, high], title="events per step" if response.events else "input value")
    chart = _drawn(squares, {"x": alt.X("x:Q", **_across(ends, columns, title)), "y": alt.Y("y:Q", **up)})
    return squares, chart.properties(width=ends[1], height=_RAMP)


def _weights(stage: Stage, steps: range) -> list[str]:
    """Return what a spike of each step is worth or, behind an attention, the mean of its values that are not 0."""
    if stage.worth is not None:
        return [_fraction(worth) for worth in stage.worth[: len(steps)]]
    if stage.name != "first layer" or stage.kind != "analog":
        return []
    return [f"{frame[frame != 0].mean():.3f}" if frame.any() else "" for frame in stage.image[: len(steps)]]


def _fraction(value: float) -> str:
    """Return a number as text, as 1 over a whole one where it is that."""
    below = round(1 / value) if 0 < value < 1 else 0
    return f"1/{below}" if below and abs(value * below - 1) < 1e-5 else f"{value:.2g}"


def _lines(response: Response) -> Iterator[tuple[str, Stage, int]]:
    """Yield the rows of frames: label, stage and channel. Events that a coding passes on are drawn once."""
    given, code, *layer = response.stages
    passed = response.events and np.array_equal(given.image, code.image)
    named = {"events": given} if response.events else {}
    named |= {} if passed else {"real values" if code.kind == "analog" else "spikes": code}
    for name, stage in [*named.items(), *(("first layer", stage) for stage in layer)]:
        channels = stage.image.shape[1]
        for channel in range(min(channels, _MOST_CHANNELS)):
            which = "" if channels == 1 else f", channel {channel + 1}"
            if response.events and channels == 2:
                which = (", OFF", ", ON")[channel]
            yield name + which, stage, channel


def _squares(stage: Stage, step: int | str, values: Array, box: tuple[float, float, float, float]) -> Iterator[Row]:
    """Yield the values ``(H, W)`` that are not 0, as squares in a box of left, top, width and height."""
    left, top, wide, high = box[0], box[1], box[2] / values.shape[1], box[3] / values.shape[0]
    real = stage.kind == "analog"
    largest = max(1.0, float(np.abs(stage.image).max()), float(np.abs(stage.ramp).max()))
    for (row, column), value in np.ndenumerate(values):
        if value:
            share = float(abs(value)) / largest
            yield {
                "stage": stage.name,
                "step": step,
                "value": float(value),
                "look": "real value" if real else "spike" if value > 0 else "negative spike",
                "share": share if real else 0.2 + 0.8 * share,
                "x": float(left + column * wide),
                "x2": float(left + (column + (0.94 if values.shape[1] > 1 else 1)) * wide),
                "y": float(top + row * high),
                "y2": float(top + (row + 0.94) * high),
            }


def _across(domain: Sequence[float], labels: Mapping[float, str] | None = None, title: str = "") -> dict[str, Any]:
    """Return scale, axis and title of a position, whose ticks are labels where they are given."""
    looks: dict[str, Any] = {"grid": False}
    if labels is not None:
        texts = "".join(f"abs(datum.value - {at:g}) < 0.01 ? '{text}' : " for at, text in labels.items())
        looks |= {"values": [*labels], "labelExpr": f"{texts}''", "ticks": False, "domain": False}
    return {"scale": alt.Scale(domain=domain, nice=False), "axis": alt.Axis(**looks), "title": title or None}


def _drawn(rows: Sequence[Row], places: dict[str, Any]) -> alt.Chart:
    """Return a chart of squares."""
    looks = [look for look in _LOOKS if any(row["look"] == look for row in rows)]
    colours = alt.Scale(domain=looks, range=[_LOOKS[look] for look in looks])
    chart: alt.Chart = (
        alt.Chart(data(rows))
        .mark_rect()
        .encode(
            **places,
            x2=alt.X2("x2:Q"),
            y2=alt.Y2("y2:Q"),
            color=alt.Color("look:N", title=None, scale=colours, legend=alt.Legend(orient="bottom")),
            opacity=alt.Opacity("share:Q", scale=None, legend=None),
        )
    )
    return chart


def _told(response: Response) -> tuple[str, list[str]]:
    """Return title and subtitle of a picture."""
    _, code, *layer = response.stages
    made = _WORDS[str(code.kind)]
    if layer:
        made += f", then {_WORDS[str(layer[0].kind)]} of a first layer ({response.neuron})"
    shown = f", the first {_MOST_STEPS} drawn" if response.steps > _MOST_STEPS else ""
    title = f"{response.coding}, T = {response.steps}{shown}: {made}; mean rate {response.rate:.2f}"
    settings = ", ".join(f"{name} {value}" for name, value in response.settings.items())
    return title, [line for line in (settings, "before training" if response.untrained else "") if line]
