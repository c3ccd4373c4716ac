"""Pictures of members of a front: where their energy goes, and they beside their twins without spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import altair as alt

from spikefront.results.findings import Findings
from spikefront.results.pictures.looks import (
    ENERGY_AXIS,
    HEIGHT,
    WIDTH,
    axis,
    coding_scales,
    dimmed,
    picked,
    quality_label,
    tips,
)
from spikefront.results.pictures.picture import INK, Picture, Row, data
from spikefront.results.twins import itself
from spikefront.searchspace import ENERGY, Trial
from spikefront.searchspace.front import spread
from spikefront.searchspace.records import LayerEnergy

_BARS: Final = 24
PARTS: Final = {
    "input": "#0072b2",
    "synapses of values": "#56b4e9",
    "synapses of spikes": "#d55e00",
    "neurons": "#009e73",
    "attention": "#cc79a7",
    "encoder": "#b8860b",
    "sums and read-out": "#999933",
    "rest": "#7f7f7f",
}
"""Parts of a member's energy, with their colours; ``input`` is the synapse that reads the input."""


def parts_of(layers: Sequence[LayerEnergy]) -> list[str]:
    """Return the part of the energy that each layer belongs to."""
    first = next((layer.layer for layer in layers if layer.role == "synapse"), None)
    named = {"neuron": "neurons", "attention": "attention", "encoder": "encoder"}
    synapse = {True: "synapses of values", False: "synapses of spikes"}
    return [
        "input"
        if layer.layer == first
        else synapse[layer.macs > 0]
        if layer.role == "synapse"
        else named.get(layer.role, "sums and read-out")
        for layer in layers
    ]


def energies(one: Trial, layers: Sequence[LayerEnergy]) -> dict[str, float]:
    """Return the energy of each part that has some, in nanojoules; without layers, of attention and of the rest."""
    found = dict.fromkeys(PARTS, 0.0)
    for part, layer in zip(parts_of(layers), layers, strict=True):
        found[part] += layer.energy_nj
    if not layers:
        found["attention"] = one.metrics.get("attention_nj", 0.0)
        found["rest"] = one.metrics.get("energy_nj", 0.0) - found["attention"]
    return {name: nj for name, nj in found.items() if nj > 0}


def energy_picture(findings: Findings) -> Picture:
    """Return a bar for each of at most 24 members of the front, cheapest first: the shares of its energy by part."""
    rows, order = [], []
    for one in spread(findings.members, _BARS):
        parts = energies(one, findings.layers.get(one.name, ()))
        name = f"{one.name} {one.coding}, {ENERGY.format(sum(parts.values()))}"
        order.append(name)
        rows += [{"trial": one.label, "member": name, "part": part, "energy_nj": nj} for part, nj in parts.items()]
    shown = [name for name in PARTS if any(row["part"] == name for row in rows)]
    bars = alt.Chart(data(rows)).mark_bar().transform_calculate(at=f"indexof({shown}, datum.part)")
    chart = bars.encode(
        x=alt.X("energy_nj:Q", stack="normalize", title="share of the energy", axis=alt.Axis(format="%", tickCount=5)),
        y=alt.Y("member:N", sort=order, title=None),
        color=_part_colour(shown),
        order=alt.Order("at:Q"),
        opacity=dimmed(),
        tooltip=tips("member:N", "part:N", alt.Tooltip("energy_nj:Q", format=".4~g")),
    ).properties(width=WIDTH, height=24 * len(order))
    told = f"Shares of the energy of {len(order)} members of search {findings.name} by part"
    return Picture(chart.add_params(picked()), told, rows)


def layers_picture(findings: Findings, trial: int | str) -> Picture:
    """Return the energy of a member layer by layer, coloured by part.

    Args:
        findings: the search.
        trial: number or name of a member whose layers are known.
    """
    layers = findings.layers[str(trial)]
    rows: list[Row] = [
        {"layer": layer.layer, "part": part, "role": layer.role, "energy_nj": layer.energy_nj, "sops": layer.sops}
        | {"macs": layer.macs, "events": layer.events, "silent_nj": layer.silent_nj}
        for part, layer in zip(parts_of(layers), layers, strict=True)
    ]
    shown = [name for name in PARTS if any(row["part"] == name for row in rows)]
    chart = alt.Chart(data(rows)).mark_bar()
    chart = chart.encode(
        x=alt.X("energy_nj:Q", title="energy per sample", axis=ENERGY_AXIS),
        y=alt.Y("layer:N", sort=list(dict.fromkeys(row["layer"] for row in rows)), title=None),
        color=_part_colour(shown),
        tooltip=tips(*(f"{name}:{'N' if name in ('layer', 'part', 'role') else 'Q'}" for name in rows[0])),
    ).properties(width=WIDTH, height=24 * len({row["layer"] for row in rows}))
    return Picture(chart, f"Energy of trial {trial} of search {findings.name} layer by layer", rows)


def _part_colour(shown: Sequence[str]) -> alt.Color:
    legend = alt.Legend(title=None, orient="top", columns=3)
    return alt.Color("part:N", legend=legend, sort=shown).scale(domain=shown, range=[PARTS[name] for name in shown])


def twins_picture(findings: Findings) -> Picture:
    """Return quality over energy of members and of their twins, each joined with its own."""
    members = findings.compared
    kinds = {"ANN": "ann", "few bits": "quantised"}
    lines, rows = [], []
    for one in members:
        about = {"trial": one["trial"], "coding": str(one["candidate"].get("coding", "")), "verdict": one["verdict"]}
        mine = _place(itself(one))
        rows.append({**about, **mine, "network": "member"})
        for name, key in kinds.items():
            rows.append({**about, **_place(one[key]), "network": name})
            lines.append({**about, **mine, "to_x": one[key]["energy_nj"], "to_y": one[key]["quality"]})
    channels = {
        "x": alt.X("x:Q", **axis(ENERGY, [row["x"] for row in rows], ENERGY.title)),
        "y": alt.Y("y:Q", **axis(findings.objectives[0], [row["y"] for row in rows],
                                 quality_label(findings.quality, findings.objectives[0]))),
    }  # fmt: skip
    colour = coding_scales(findings.codings)["color"]
    shape = alt.Shape("network:N", legend=alt.Legend(title=None, orient="top"))
    shape = shape.scale(domain=["member", *kinds], range=["circle", "square", "diamond"])
    told = ("trial", "coding", "network", "verdict", "t0", "t1")
    tips = [alt.Tooltip(f"{name}:N", title={"t0": findings.quality, "t1": "energy"}.get(name, name)) for name in told]
    own = [row for row in rows if row["network"] == "member"]
    others = [row for row in rows if row["network"] != "member"]
    lost = [row for row in own if row["verdict"] == "loses"]
    layers = [
        alt.Chart(data(lines)).mark_rule(strokeWidth=1).encode(
            **channels, x2=alt.X2("to_x:Q"), y2=alt.Y2("to_y:Q"), color=colour, opacity=dimmed(0.5)
        ),
        *(
            alt.Chart(data(each)).mark_point(size=90, filled=each is own, strokeWidth=2).encode(
                **channels, color=colour, shape=shape, opacity=dimmed(), tooltip=tips
            )
            for each in (others, own)
        ),
        alt.Chart(data(lost)).mark_point(shape="stroke", angle=135, size=300, color=INK).encode(**channels),
        alt.Chart(data(own))
        .mark_text(dx=9, dy=-9, align="left")
        .encode(**channels, text=alt.Text("trial:N"), opacity=dimmed()),
    ]  # fmt: skip
    chart = alt.layer(*layers, width=WIDTH, height=HEIGHT).add_params(picked())
    return Picture(chart, f"{findings.quality} over energy of {len(members)} members and their twins", rows)


def _place(metrics: Mapping[str, float]) -> Row:
    quality, energy = metrics["quality"], metrics["energy_nj"]
    return {"x": energy, "y": quality, "t0": f"{quality:.4g}", "t1": ENERGY.format(energy)}
