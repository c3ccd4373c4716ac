"""Picture of a training that was watched: firing rates and gradient norms by layer and epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from spikefront.results.pictures.looks import MISTAKE, WIDTH, tips
from spikefront.results.pictures.picture import Picture, Row, data
from spikefront.searchspace.retraining import LayerEpoch, Retraining, short

_ROW: Final = 30
"""Pixels of a layer."""
_LABELLED: Final = 10
"""Most epochs whose cells have their values."""


def training_picture(seen: Retraining, of: str = "") -> Picture:
    """Return two heat maps over epochs, a row for each layer, the input at the top; what is 0 is orange.

    Above are spikes per neuron and step, below the L2 norm of the gradient by the parameters of a layer, on a
    logarithmic scale.

    Args:
        seen: the retraining.
        of: which network, for the title.
    """
    epochs = max(1, seen.epochs)
    rows: list[Row] = []
    for one in seen.layers:
        rows.append({"layer": short(one.layer), "epoch": one.epoch, "rate": one.rate, "gradient": one.gradient})
    parts = [
        _map(rows, "rate", "spikes per neuron and step", epochs, log=False),
        _map(rows, "gradient", "gradient norm", epochs, log=True),
    ]
    charts = [part for part in parts if part is not None]
    title = [*([of] if of else []), f"Firing rates and gradient norms over {seen.epochs} epochs; orange: none"]
    chart = alt.vconcat(*charts, title=alt.TitleParams(title, limit=WIDTH)).resolve_scale(color="independent")
    return Picture(chart, _alt(seen.at(seen.epochs), of), rows)


def _map(rows: Sequence[Row], field: str, title: str, epochs: int, log: bool) -> Any:
    """Return the heat map of a field; None where no layer has it."""
    known = [row for row in rows if not math.isnan(row[field])]
    if not known:
        return None
    finite = [row[field] for row in known if math.isfinite(row[field]) and row[field] > 0]
    cells: list[Row] = []
    for row in known:
        value = row[field]
        cell = {"layer": row["layer"], "epoch": row["epoch"], "from": row["epoch"] - 0.5, "to": row["epoch"] + 0.5}
        shown = "infinite" if math.isinf(value) else f"{value:.2g}"
        top = min(value, max(finite, default=1.0))
        cell |= {
            "value": top,
            "shown": shown,
            "none": value == 0,
            "bright": value > 0 and _share(top, finite, log) > 0.6,
        }
        cells.append(cell)
    ticks: dict[str, Any] = {"values": list(range(1, epochs + 1))} if epochs <= _LABELLED else {"tickMinStep": 1}
    layers = list(dict.fromkeys(row["layer"] for row in known))
    x = alt.X("from:Q", title="epoch").scale(domain=[0.5, epochs + 0.5], nice=False)
    base = alt.Chart(data(cells)).encode(
        x=x.axis(**ticks, format="d", grid=False),
        x2=alt.X2("to:Q"),
        y=alt.Y("layer:N", title=None, sort=None).scale(domain=layers, paddingInner=0.06),
        tooltip=tips("layer:N", "epoch:Q", "shown:N"),
    )
    scale: dict[str, Any] = {"scheme": "viridis"}
    if log and finite:
        scale |= {"type": "log", "domain": [min(finite), max(finite) if max(finite) > min(finite) else 2 * max(finite)]}
    else:
        scale |= {"domain": [0, max(finite, default=1.0)]}
    legend = alt.Legend(title=None, format=".1g" if log else "~g", gradientLength=max(60, _ROW * len(layers)))
    heat = (
        base.transform_filter("!datum.none")
        .mark_rect()
        .encode(color=alt.Color("value:Q", legend=legend, scale=alt.Scale(**scale)))
    )
    none = base.transform_filter("datum.none").mark_rect(color=MISTAKE)
    layered = [heat, none]
    if epochs <= _LABELLED:
        text = alt.Chart(data(cells)).mark_text(fontSize=12)
        colour = alt.ColorValue("white", condition={"test": "datum.bright", "value": "black"})
        x_middle = alt.X("epoch:Q").scale(domain=[0.5, epochs + 0.5], nice=False)
        layered.append(text.encode(x=x_middle, y=alt.Y("layer:N", sort=None), text=alt.Text("shown:N"), color=colour))
    return alt.layer(*layered, width=WIDTH - 160, height=_ROW * len(layers), title=title)


def _share(value: float, finite: Sequence[float], log: bool) -> float:
    """Return where a value lies on its colour scale, from 0 to 1."""
    low, high, at = (math.log(min(finite)), math.log(max(finite)), math.log(value)) if log else (0, max(finite), value)
    return (at - low) / (high - low) if high > low else 0.0


def _alt(last: Sequence[LayerEpoch], of: str) -> str:
    def words(one: LayerEpoch) -> str:
        known = [(one.rate, "spikes per neuron and step"), (one.gradient, "gradient norm")]
        return f"{short(one.layer)}: " + ", ".join(f"{value:.3g} {what}" for value, what in known if value == value)

    return f"Firing rates and gradient norms{of and f' of {of}'}, after the last epoch: {'; '.join(map(words, last))}"
