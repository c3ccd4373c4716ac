"""Energy of members by part, as a bar for each, and layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from spikefront.results.findings import Findings
from spikefront.results.report.html import Html, element, scrolling, table
from spikefront.results.report.tables import coding_cell, energy, energy_of, number
from spikefront.results.stability import NO, YES, Stability
from spikefront.searchspace import Trial
from spikefront.searchspace.records import LayerEnergy

_PARTS: Final = (
    "input",
    "synapses of values",
    "synapses of spikes",
    "neurons",
    "attention",
    "encoder",
    "sums and read-out",
    "rest",
)
"""The parts of a bar; the first is the synapse that reads the input. The style sheet has a colour for each place."""
_COUNTS: Final = {
    "sops": "SOPs",
    "macs": "MACs",
    "adds": "additions",
    "multiplies": "multiplications",
    "shifts": "shifts",
    "biases": "biases",
    "events": "events",
}
"""Titles of a layer's counts."""
_LEAST: Final = 0.005
"""Share of a part that is named."""


def energy_table(findings: Findings) -> Html:
    """Return a row for each member of the front, cheapest first, with its layers folded below."""
    titles = ["trial", "coding", "energy", "where it goes", "SOPs", "MACs", "MACs, T times"]
    titles += ["spike rate: least / mean / most"]
    numbers = (2, 4, 5, 6, 7)
    head = [
        element("th", title, scope="col", class_="number" if at in numbers else None) for at, title in enumerate(titles)
    ]
    bodies = [_body(findings, one, findings.layers.get(one.number, ()), numbers) for one in findings.members]
    whole = element("table", element("thead", element("tr", head)), bodies, class_="energies")
    return element("div", _legend(findings), scrolling(whole))


def models_table(stability: Stability) -> Html:
    """Return a row for each member under some energy model: its energies, and whether it is on each front."""
    names = [front.model for front in stability.fronts]
    rows = []
    for one in stability.members:
        cells: list[object] = [one.number, one.coding]
        for front in stability.fronts:
            place = front.place(one.number)
            mark = {YES: "", NO: ", not on its front"}.get(place, place)
            cells.append(f"{energy(front.energies.get(one.number))}{mark}")
        rows.append(cells)
    note = "The stored counts under each energy model. Joules of two models don't compare; who is on the front does."
    said = [element("li", sentence) for sentence in stability.sentences()]
    title = element("h3", "Under other energy models")
    return element("div", title, element("p", note), table(["trial", "coding", *names], rows), element("ul", said))


def parts_of(one: Trial, layers: Sequence[LayerEnergy]) -> dict[str, float]:
    """Return the energy of each part that has some, in nanojoules; without layers, of attention and of the rest."""
    found = dict.fromkeys(_PARTS, 0.0)
    first = next((layer.layer for layer in layers if layer.role == "synapse"), None)
    for layer in layers:
        found["input" if layer.layer == first else _part(layer)] += layer.energy_nj
    if not layers:
        found["attention"] = one.metrics.get("attention_nj", 0.0)
        found["rest"] = one.metrics.get("energy_nj", 0.0) - found["attention"]
    return {name: nj for name, nj in found.items() if nj > 0}


def _part(layer: LayerEnergy) -> str:
    if layer.role == "synapse":
        return "synapses of values" if layer.macs else "synapses of spikes"
    return {"neuron": "neurons", "attention": "attention", "encoder": "encoder"}.get(layer.role, "sums and read-out")


def _legend(findings: Findings) -> Html:
    shown = {name for one in findings.members for name in parts_of(one, findings.layers.get(one.number, ()))}
    keys = [
        element("li", element("span", class_=f"e{at}", aria_hidden="true"), name)
        for at, name in enumerate(_PARTS)
        if name in shown
    ]
    return element("ul", keys, class_="parts")


def _body(findings: Findings, one: Trial, layers: Sequence[LayerEnergy], numbers: Sequence[int]) -> Html:
    metrics = one.metrics
    rates = [metrics.get(name) for name in ("min_layer_rate", "spike_rate", "max_layer_rate")]
    counts = [number(metrics.get(name)) for name in ("sops", "macs", "macs_every_step")]
    spikes = " / ".join(number(rate, 2) or "-" for rate in rates)
    bar = _bar(parts_of(one, layers))
    cells = [one.number, coding_cell(findings, one.coding), energy_of(one), bar, *counts, spikes]
    row = [element("td", cell, class_="number" if at in numbers else None) for at, cell in enumerate(cells)]
    if not layers:
        return element("tbody", element("tr", row))
    folded = element("details", element("summary", "layer by layer"), _layers(layers))
    return element("tbody", element("tr", row), element("tr", element("td", folded, colspan=len(cells)), class_="more"))


def _bar(parts: Mapping[str, float]) -> Html | None:
    whole = sum(parts.values())
    if not whole:
        return None
    segments = [
        element("span", class_=f"e{_PARTS.index(name)}", style=f"width: {100 * nj / whole:.2f}%", title=name)
        for name, nj in parts.items()
    ]
    shares = ", ".join(f"{name} {nj / whole:.0%}" for name, nj in parts.items() if nj / whole >= _LEAST)
    return element("div", element("div", segments, class_="stack", aria_hidden="true"), element("small", shares))


def _layers(layers: Sequence[LayerEnergy]) -> Html:
    whole = sum(layer.energy_nj for layer in layers)
    rows = []
    for layer in layers:
        share = layer.energy_nj / whole if whole else 0.0
        rate = number(layer.events / layer.sites, 2) if layer.sites else ""
        counts = [_count(getattr(layer, name)) for name in _COUNTS]
        rows.append([layer.layer, layer.role, energy(layer.energy_nj), f"{share:.1%}", *counts, rate])
    titles = ["layer", "role", "energy", "share", *_COUNTS.values(), "events per place and step"]
    return table(titles, rows, numbers=range(2, len(titles)))


def _count(value: float) -> str:
    return number(value) if value else ""
