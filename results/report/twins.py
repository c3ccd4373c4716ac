"""The members of a front beside their twins: the ANN of the same backbone, and the network of few bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spikefront.results.findings import Findings
from spikefront.results.plot import quality_label
from spikefront.results.report.axes import Scale, energy_tick, key, mark, percent, picture, segment
from spikefront.results.report.html import Html, element, table
from spikefront.results.report.tables import coding_cell, energy, number
from spikefront.results.twins import how_compared, itself, without_twins
from spikefront.searchspace.units import format_quality

_VERDICTS: Final = {"wins": "beats both", "loses": "loses to a twin", "trades": "a trade", "undecided": "undecided"}
_HOW: Final = (
    "Each member is held against two networks without spikes, made of its own backbone with rectifiers, trained with "
    "its schedule and seeds, and counted and priced by the same rules: one at full precision, one whose activations "
    "have as many bits as T steps can tell values apart. A member loses where one of them is at least as good and "
    "costs no more, by paired t tests over the seeds (5 % to either side, adjusted for both), and is undecided "
    "where they can't tell. The break-even is the spike rate at which the member would cost as much as the twin: 0 "
    "where none is low enough."
)
_RIGHT: Final = 85
"""Percent from the left behind which a number stands before its mark."""

Member = Mapping[str, Any]


def twins_section(findings: Findings) -> list[object]:
    """Return the section about twins."""
    known = [one for one in findings.twins.get("members", ()) if "ann" in one]
    lost = sum(one["verdict"] == "loses" for one in known)
    parts: list[object] = []
    if known:
        stored = findings.twins
        how = how_compared(known, str(stored.get("split", "validation")), stored.get("seeds", ()))
        parts += [element("p", _HOW), element("p", " ".join([f"{lost} of {len(known)} members lose to a twin.", *how]))]
        parts += [twins_figure(findings, known), twins_table(findings, known)]
    parts += [element("p", line) for line in without_twins(findings.twins.get("members", ()))]
    failed = findings.twins.get("failed", {})
    return [*parts, *(element("p", f"The twins of trial {trial} failed: {why}") for trial, why in failed.items())]


def twins_figure(findings: Findings, members: list[Member]) -> Html:
    """Return quality over energy of members and of their twins, each joined with its own."""
    each = [itself(one) for one in members] + [one[twin] for one in members for twin in ("ann", "quantised")]
    across, up = Scale.around([one["energy_nj"] for one in each], True), Scale.around([one["quality"] for one in each])

    def place(metrics: Mapping[str, float]) -> tuple[float, float]:
        return across.share(metrics["energy_nj"]), up.share(metrics["quality"])

    lines, marks = [], []
    for one in members:
        at = _place(findings, one)
        mine, ann, few = place(itself(one)), place(one["ann"]), place(one["quantised"])
        lines += [element("g", segment(*mine, *other), class_=f"c{at}", data_coding=at) for other in (ann, few)]
        inside = [
            element("title", _describe(findings, one)),
            mark("square", *ann, class_="hollow"),
            mark("diamond", *few, class_="hollow"),
            mark(at, *mine),
            mark("stroke", *mine, class_="struck") if one["verdict"] == "loses" else None,
            _number(one["trial"], *mine),
        ]
        marks.append(element("g", inside, class_=f"c{at}", data_coding=at))
    body = [element("g", lines, class_="ties"), element("g", marks, class_="twins")]
    label = f"{findings.quality} over energy of {len(members)} members and their twins; numbers are in the table below."
    texts = [energy_tick(value) for value in across.ticks()]
    drawn = picture(
        body, (across, "energy per sample", texts), (up, quality_label(findings.quality, findings.objectives[0])), label
    )
    return element("figure", _legend(), drawn)


def _number(trial: int, x: float, y: float) -> Html:
    """Return the number of a trial beside its mark, on the side that has room at 400 px."""
    dx, anchor = ("9", "start") if x < _RIGHT else ("-9", "end")
    return element("text", trial, x=percent(x), y=percent(100 - y), dx=dx, dy="-7", text_anchor=anchor)


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
        mine, ann, few = itself(one), one["ann"], one["quantised"]
        name = str(one["candidate"].get("coding", ""))
        verdict = element("span", _VERDICTS.get(one["verdict"], one["verdict"]), class_="coding")
        verdict = element("strong", verdict) if one["verdict"] == "loses" else verdict
        row = [one["trial"], coding_cell(findings, name), verdict, one["candidate"].get("steps", "")]
        row += [format_quality(mine["quality"]), energy(mine["energy_nj"])]
        row += [format_quality(ann["quality"]), energy(ann["energy_nj"])]
        row += [f"{few['bits']:g}", format_quality(few["quality"]), energy(few["energy_nj"])]
        row += [number(one["metrics"].get("spike_rate"), 2)]
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


def _describe(findings: Findings, one: Member) -> str:
    text = f"trial {one['trial']}, {one['candidate'].get('coding', '')}"
    few = one["quantised"]
    for name, metrics in (("itself", itself(one)), ("ANN", one["ann"]), (f"{few['bits']:g} bits", few)):
        text += f"; {name}: {findings.quality} {format_quality(metrics['quality'])}, {energy(metrics['energy_nj'])}"
    return text
