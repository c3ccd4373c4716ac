"""Pictures of what a member does: the spikes of one sample over time, and its outputs against what is true."""

from __future__ import annotations

import math
from typing import Any, Final

import altair as alt

from spikefront.results.pictures.looks import HEIGHT, LINE, MISTAKE, WIDTH, edges, tips
from spikefront.results.pictures.picture import INK, Picture, Row, data
from spikefront.searchspace.activity import Activity, LayerActivity
from spikefront.searchspace.errors import cut

_HEAD: Final = 24
"""Pixels above a layer, for its name."""
_COUNTED: Final = 25
"""Most classes whose matrix has its counts in the cells."""


def raster_picture(activity: Activity, of: str = "") -> Picture:
    """Return the spikes of a sample: a band for the coded input and each spiking layer, a row for each neuron.

    Blue spikes are positive, orange ones negative; the larger a value is within its layer, the fuller its colour.

    Args:
        activity: what a network does.
        of: which network, for the title.
    """
    size = min(6.0, max(0.5, 420 / max(1, sum(len(layer.shown) for layer in activity.layers))))
    bands, trains, rows, top = [], [], [], 0.0
    for layer in activity.layers:
        top += _HEAD
        bottom = top + max(12.0, size * len(layer.shown))
        bands.append({"text": _head(layer), "y": top, "y2": bottom, "x": -0.5, "x2": activity.steps - 0.5})
        trains += _trains(layer, top, (bottom - top) / max(1, len(layer.shown)), activity.steps)
        for row, step, value in layer.spikes:
            more = {"input": layer.inputs[row]} if layer.inputs else {}
            rows.append({"layer": layer.name, "neuron": layer.shown[row], "step": step, "value": value, **more})
        top = bottom
    signed = any(value < 0 for one in trains for value in one["value"])
    x = alt.X("x:Q", title="time step", scale=alt.Scale(domain=[-0.5, activity.steps - 0.5], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[top, 0], nice=False))
    band = alt.Chart(data(bands)).encode(x=x.axis(format="d", tickMinStep=1, grid=False), y=y)
    legend = alt.Legend(orient="top", title=None) if signed else None
    spikes = alt.Chart(data(trains)).transform_flatten(["step", "value"]).mark_rect()
    spikes = spikes.transform_calculate(
        x="datum.step - 0.45",
        x2="datum.step + datum.span + 0.45",
        sign="datum.value < 0 ? 'negative' : 'positive'",
        share="abs(datum.value) / datum.most",
    ).encode(
        x=x,
        x2=alt.X2("x2:Q"),
        y=y,
        y2=alt.Y2("y2:Q"),
        color=alt.Color("sign:N", legend=legend).scale(domain=["positive", "negative"], range=[LINE, MISTAKE]),
        opacity=alt.Opacity("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.15, 1])),
        tooltip=tips("layer:N", "neuron:Q", "step:Q", "value:Q", *(["input:Q"] if activity.layers[0].inputs else [])),
    )
    heads = band.mark_text(align="left", baseline="bottom", dy=-3, fontSize=14).encode(text=alt.Text("text:N"))
    ground = band.mark_rect(color=INK, opacity=0.07).encode(x2=alt.X2("x2:Q"), y2=alt.Y2("y2:Q"))
    title = _title(activity)
    chart = alt.layer(ground, spikes, heads, width=WIDTH, height=top, title=_lines(of, title))
    rates = "; ".join(str(one["text"]) for one in bands)
    return Picture(chart, f"Spikes over time{of and f' of {of}'}, {title}: {rates}", rows)


def _lines(of: str, title: str) -> alt.TitleParams:
    return alt.TitleParams([*([of] if of else []), *title.split("; ")], limit=WIDTH)


def _title(activity: Activity) -> str:
    told = f"sample {activity.sample} of the validation split"
    return told + (f"; target {cut(activity.target, 40)}, output {cut(activity.output, 40)}" if activity.output else "")


def _head(layer: LayerActivity) -> str:
    name = layer.name.removeprefix("backbone.").removesuffix(".neuron")
    shown = f"{len(layer.shown)} of {layer.neurons:,}" if len(layer.shown) < layer.neurons else f"{layer.neurons:,}"
    if layer.kind == "analog":
        return f"{name}: {shown} values, {'the same at each step' if layer.constant else 'no spikes'}"
    return f"{name}: {shown} neurons, {layer.rate:.3g} per neuron and step"


def _trains(layer: LayerActivity, top: float, size: float, steps: int) -> list[Row]:
    """Return a row for each neuron that spikes, with the steps and values of its spikes; the chart takes it apart."""
    found: dict[int, Row] = {}
    shared = {"layer": layer.name, "most": max((abs(value) for _, _, value in layer.spikes), default=1)}
    shared["span"] = steps - 1 if layer.constant else 0
    for row, step, value in layer.spikes:
        if row not in found:
            y = round(top + row * size, 2)
            found[row] = {**shared, "neuron": layer.shown[row], "y": y, "y2": round(y + max(size, 1), 2)}
            found[row] |= {"step": [], "value": [], **({"input": layer.inputs[row]} if layer.inputs else {})}
        found[row]["step"].append(step)
        found[row]["value"].append(value)
    return list(found.values())


def matrix_picture(activity: Activity, of: str = "") -> Picture | None:
    """Return the confusion matrix, or predicted against true values; None of a network that generates.

    Args:
        activity: what a network does.
        of: which network, for the title.
    """
    if activity.confusion:
        return _confusion(activity, of)
    return _against(activity, of) if activity.pairs else None


def _confusion(activity: Activity, of: str) -> Picture:
    """Return counts by class and output: hits blue, mistakes orange, the fuller the larger their share of a class."""
    names, size = activity.classes, len(activity.classes)
    rows = [
        {"target": names[true], "output": names[said], "count": count, "share": count / max(1, sum(cells))}
        for true, cells in enumerate(activity.confusion)
        for said, count in enumerate(cells)
    ]
    hits = sum(activity.confusion[at][at] for at in range(size))
    samples = sum(map(sum, activity.confusion))
    title = f"{hits:,} of {samples:,} samples are right; validation split"
    looks: dict[str, Any] = {"labelLimit": 168, "labelOverlap": size > _COUNTED, "ticks": False, "domain": False}
    scale, angle = alt.Scale(domain=list(names)), 0 if max(map(len, names)) < 4 else -40
    base = alt.Chart(data([row for row in rows if row["count"]])).encode(
        x=alt.X("output:N", title="output", scale=scale, axis=alt.Axis(labelAngle=angle, **looks)),
        y=alt.Y("target:N", title="target", scale=scale, axis=alt.Axis(**looks)),
        tooltip=tips("target:N", "output:N", "count:Q"),
    )
    is_hit = "datum.target === datum.output"
    layers = [
        base.mark_rect().encode(
            color=alt.ColorValue(MISTAKE, condition={"test": is_hit, "value": LINE}),
            opacity=alt.Opacity("share:Q", legend=None).scale(type="sqrt", domain=[0, 1], range=[0.1, 1]),
        )
    ]
    if size <= _COUNTED:
        ink = alt.ColorValue(INK, condition={"test": "datum.share > 0.4", "value": "white"})
        layers.append(base.mark_text(fontSize=14).encode(text=alt.Text("count:Q"), color=ink))
    chart = alt.layer(*layers, width=WIDTH, height=min(560, max(160, 34 * size)), title=_lines(of, title))
    return Picture(chart, f"Confusion matrix{of and f' of {of}'}: {title}", rows)


def _against(activity: Activity, of: str) -> Picture:
    """Return predicted against true values, with the line on which both are the same."""
    rows: list[Row] = [{"output": str(at), "true": true, "predicted": said} for at, true, said in activity.pairs]
    low, high = edges([row[name] for row in rows for name in ("true", "predicted")], log=False)
    scale, axis = alt.Scale(domain=[low, high], nice=False, zero=False), alt.Axis(tickCount=6)
    outputs = sorted({at for at, _, _ in activity.pairs})
    points = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=45, opacity=0.6, color=LINE)
        .encode(
            x=alt.X("true:Q", title="true value", scale=scale, axis=axis),
            y=alt.Y("predicted:Q", title="predicted value", scale=scale, axis=axis),
            tooltip=tips("true:Q", "predicted:Q"),
        )
    )
    if len(outputs) > 1:
        points = points.encode(color=alt.Color("output:N", title="output").scale(scheme="tableau10"))
    same = alt.Chart(data([{"true": end, "predicted": end} for end in (low, high)]))
    line = same.mark_line(color=INK, strokeDash=[4, 3]).encode(x=alt.X("true:Q"), y=alt.Y("predicted:Q"))
    far = math.sqrt(sum((row["true"] - row["predicted"]) ** 2 for row in rows) / len(rows))
    title = f"{len(rows):,} values of the validation split; root mean squared error {far:.3g}"
    chart = alt.layer(line, points, width=WIDTH, height=HEIGHT, title=_lines(of, title))
    return Picture(chart, f"Predicted against true values{of and f' of {of}'}: {title}", rows)
