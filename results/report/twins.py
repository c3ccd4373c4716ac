"""The members of a front beside their twins: the ANN of the same backbone, and the network of few bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spikefront.results.report.axes import Scale, energy_tick, key, mark, percent, picture, segment
from spikefront.results.report.findings import Findings
from spikefront.results.report.html import Html, element, table
from spikefront.results.report.tables import coding_cell, energy, number

_VERDICTS: Final = {"wins": "beats both", "loses": "loses to a twin", "trades": "a trade"}
_HOW: Final = (
    "Each member is held against two networks without spikes, made of its own backbone with rectifiers, trained with "
    "its schedule and seed, and counted and priced by the same rules: one at full precision, one whose activations "
    "have as many bits as T steps can tell values apart. A member loses where one of them is at least as good and "
    "costs no more. The break-even is the spike rate at which the member would cost as much as the twin: 0 where none "
    "is low enough."
)

Member = Mapping[str, Any]


def twins_section(findings: Findings) -> list[object]:
    """Return what the section about twins says and shows."""
    known = [one for one in findings.twins.get("members", ()) if "ann" in one]
    without = [one for one in findings.twins.get("members", ()) if "ann" not in one]
    lost = sum(one["verdict"] == "loses" for one in known)
    told = [element("p", _HOW)]
    if known:
        told.append(element("p", f"{lost} of {len(known)} members lose to a twin."))
        told += [twins_figure(findings, known), twins_table(findings, known)]
    told += [element("p", f"Trial {one['trial']} has no twin: {one.get('reason', '')}.") for one in without]
    failed = findings.twins.get("failed", {})
    return [*told, *(element("p", f"The twins of trial {trial} failed: {why}") for trial, why in failed.items())]


def twins_figure(findings: Findings, members: list[Member]) -> Html:
    """Return quality over energy of members and of their twins, each joined with its own."""
    each = [one["metrics"] for one in members] + [one[twin] for one in members for twin in ("ann", "quantised")]
    across, up = Scale.around([one["energy_nj"] for one in each], True), Scale.around([one["quality"] for one in each])

    def place(metrics: Mapping[str, float]) -> tuple[float, float]:
        return across.share(metrics["energy_nj"]), up.share(metrics["quality"])

    lines, marks = [], []
    for one in members:
        at = _place(findings, one)
        mine, ann, few = place(one["metrics"]), place(one["ann"]), place(one["quantised"])
        lines += [element("g", segment(*mine, *other), class_=f"c{at}", data_coding=at) for other in (ann, few)]
        inside = [
            element("title", _said(findings, one)),
            mark("square", *ann, class_="hollow"),
            mark("diamond", *few, class_="hollow"),
            mark(at, *mine),
            mark("stroke", *mine, class_="struck") if one["verdict"] == "loses" else None,
            element("text", one["trial"], x=percent(mine[0]), y=percent(100 - mine[1]), dx="9", dy="-7"),
        ]
        marks.append(element("g", inside, class_=f"c{at}", data_coding=at))
    body = [element("g", lines, class_="ties"), element("g", marks, class_="twins")]
    said = f"{findings.quality} over energy of {len(members)} members and their twins; numbers are in the table below."
    texts = [energy_tick(value) for value in across.ticks()]
    drawn = picture(body, (across, "energy per sample", texts), (up, f"{findings.quality} (validation)"), said)
    return element("figure", _legend(), drawn)


def _legend() -> Html:
    named = (
        ("square", "hollow", "ANN"),
        ("diamond", "hollow", "few bits"),
        ("stroke", "struck", "loses to one of them"),
    )
    keys = [element("li", key(shape, kind), name) for shape, kind, name in named]
    return element("ul", keys, class_="parts")


def twins_table(findings: Findings, members: list[Member]) -> Html:
    """Return a row for each member that has twins."""
    rows = []
    for one in members:
        metrics, ann, few = one["metrics"], one["ann"], one["quantised"]
        name = str(one["candidate"].get("coding", ""))
        told = element("span", _VERDICTS.get(one["verdict"], one["verdict"]), class_="coding")
        told = element("strong", told) if one["verdict"] == "loses" else told
        row = [one["trial"], coding_cell(findings, name), told, one["candidate"].get("steps", "")]
        row += [f"{metrics['quality']:.4f}", energy(metrics["energy_nj"])]
        row += [f"{ann['quality']:.4f}", energy(ann["energy_nj"])]
        row += [f"{few['bits']:g}", f"{few['quality']:.4f}", energy(few["energy_nj"])]
        row += [number(metrics.get("spike_rate"), 2)]
        row += [number(twin.get("break_even_rate"), 2) for twin in (ann, few)]
        rows.append(row)
    quality = findings.quality
    titles = [
        "trial",
        "coding",
        "against its twins",
        "T",
        quality,
        "energy",
        f"ANN: {quality}",
        "energy",
        "bits",
        quality,
        "energy",
    ]
    titles += ["spike rate", "break-even: ANN", "few bits"]
    return table(titles, rows, numbers=(0, *range(3, 14)))


def _place(findings: Findings, one: Member) -> int:
    name = str(one["candidate"].get("coding", ""))
    return findings.codings.index(name) if name in findings.codings else 0


def _said(findings: Findings, one: Member) -> str:
    told = f"trial {one['trial']}, {one['candidate'].get('coding', '')}"
    named = (("itself", "metrics"), ("ANN", "ann"), (f"{one['quantised']['bits']:g} bits", "quantised"))
    for name, where in named:
        told += f"; {name}: {findings.quality} {one[where]['quality']:.4f}, {energy(one[where]['energy_nj'])}"
    return told
