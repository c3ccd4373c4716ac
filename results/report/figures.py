"""Figures of a report: the front, the fronts of the codings, the hypervolume."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from spikefront.results.findings import Findings
from spikefront.results.plot import position, quality_label
from spikefront.results.report.axes import Scale, energy_tick, key, mark, percent, picture, steps
from spikefront.results.report.html import Html, element
from spikefront.searchspace import Trial, Value
from spikefront.searchspace.front import losses, nondominated
from spikefront.searchspace.units import format_duration

FAINT: Final = 1500
"""Most trials that are drawn behind the front."""
_LOW: Final = 12
"""Percent from below under which a label stands above its place."""
_SEGMENTS: Final = 400
"""Most points of a line over time."""


class Plane:
    """Plane of the figures: quality over energy, or over the last axis where energy is not an objective.

    Args:
        findings: the search.

    Attributes:
        across: the horizontal scale.
        up: the vertical scale.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._x, self._y = findings.front.across, findings.objectives[0]
        self.across = Scale.around([position(trial, self._x) for trial in findings.shown], self._x.log)
        self.up = Scale.around([position(trial, self._y) for trial in findings.shown])

    def place(self, trial: Trial) -> tuple[float, float]:
        """Return a trial's place in percent from the lower left corner."""
        return self.across.share(position(trial, self._x)), self.up.share(position(trial, self._y))

    def stairs(self, members: Sequence[Trial]) -> list[tuple[float, float]]:
        """Return the places of the members that count in this plane, from left to right."""
        points = [[trial.metrics[axis.metric] for axis in (self._y, self._x)] for trial in members]
        kept = nondominated(losses(points, (self._y, self._x)))
        return sorted(self.place(trial) for trial, stays in zip(members, kept, strict=True) if stays)

    def draw(self, body: Sequence[Html], label: str, **attributes: object) -> Html:
        """Return a picture of the plane."""
        is_energy = self._x.style == "energy"  # its ticks have units
        texts = [energy_tick(value) if is_energy else f"{value:g}" for value in self.across.ticks()]
        name = self._x.title if is_energy else self._x.label
        up = quality_label(self._findings.quality, self._y)
        return picture(body, (self.across, name, texts), (self.up, up), label, **attributes)


def behind(findings: Findings) -> list[Trial]:
    """Return the trials that are drawn behind the front: ``shown``, or ``FAINT`` of them at random."""
    members = {trial.number for trial in findings.members}
    others = [trial for trial in findings.shown if trial.number not in members]
    if len(others) > FAINT:
        chosen = np.random.default_rng(0).choice(len(others), FAINT, replace=False)
        others = [others[at] for at in sorted(chosen)]
    return others


def describe(findings: Findings, trial: Trial) -> str:
    """Return what a trial reached, in words; the axis of the figures needs no name where its values have a unit."""
    parts = [f"trial {trial.number}", trial.coding]
    for axis in findings.objectives:
        is_clear = axis == findings.front.across and axis.unit
        value = axis.format(trial.metrics.get(axis.metric))
        parts.append(value if is_clear else f"{findings.heading(axis)} {value}")
    return ", ".join([*parts, *(["loses to a twin"] if trial.number in findings.losers else [])])


def front_figure(findings: Findings) -> Html:
    """Return the front, with a legend and a box that shows the configuration of a trial."""
    plane, place = Plane(findings), {name: at for at, name in enumerate(findings.codings)}
    faint = [
        mark(place[one.coding], *plane.place(one), class_=f"c{place[one.coding]}", data_coding=place[one.coding])
        for one in behind(findings)
    ]
    members = [_member(findings, plane, one, place[one.coding]) for one in findings.members]
    losers = [
        mark("stroke", *plane.place(one), class_="struck", data_coding=place[one.coding])
        for one in findings.members
        if one.number in findings.losers
    ]
    body = [
        element("g", faint, class_="faint", aria_hidden="true"),
        steps(plane.stairs(findings.members), class_="steps", aria_hidden="true"),
        *_knee(findings, plane),
        element("g", members, class_="members"),
        element("g", losers, class_="losers", aria_hidden="true") if losers else Html(""),
    ]
    across = findings.heading(findings.front.across)
    label = (
        f"{findings.quality} over {across}, {len(findings.members)} members of the front. "
        "Arrow keys go from member to member; the table below has them all."
    )
    about = element(
        "div",
        element("p", "Point at, tap or focus a trial to see its configuration.", class_="hint"),
        id="about",
        aria_live="polite",
    )
    return element(
        "figure", _legend(findings), plane.draw(body, label, role="group", class_="front", id="front-picture"), about
    )


def _member(findings: Findings, plane: Plane, one: Trial, coding: int) -> Html:
    title = element("title", describe(findings, one))
    x, y = plane.place(one)
    return element(
        "g",
        title,
        mark(coding, x, y),
        class_=f"c{coding}",
        data_coding=coding,
        data_trial=one.number,
        tabindex="0",
        role="img",
        aria_label=describe(findings, one),
    )


def _knee(findings: Findings, plane: Plane) -> list[Html]:
    if findings.knee is None or len(findings.members) < 3:
        return []
    x, y = plane.place(findings.knee)
    ring = element("circle", cx=percent(x), cy=percent(100 - y), r="11", class_="ring")
    down = "20" if y > _LOW else "-14"  # else it would stand on the labels of the axis
    text = element(
        "text", "knee", x=percent(x), y=percent(100 - y), dx="14" if x < 85 else "-14", dy=down,
        text_anchor="start" if x < 85 else "end", class_="note", aria_hidden="true",
    )  # fmt: skip
    return [ring, text]


def _legend(findings: Findings) -> Html:
    buttons = []
    for at, name in enumerate(findings.codings):
        on = sum(one.coding == name for one in findings.members)
        count = element("small", f"{on} on the front") if on else None
        buttons.append(
            element("button", key(at), element("span", name), count, type="button", aria_pressed="true", data_coding=at)
        )
    return element("div", buttons, class_="legend", role="group", aria_label="Codings; press to hide or show")


def configurations(findings: Findings) -> dict[str, Any]:
    """Return places and configurations of all trials that ``front_figure`` draws, compact.

    Returns:
        ``names`` and ``values``, each text once; ``trials``, the members first: number, place of the coding, x and y in
        percent from the upper left corner, the trial in words, whether it is a member, and then places in ``names``
        and ``values`` by turns.
    """
    plane, place = Plane(findings), {name: at for at, name in enumerate(findings.codings)}
    names: dict[str, int] = {}
    values: dict[str, int] = {}
    rows = []
    for at, trial in enumerate([*findings.members, *behind(findings)]):
        x, y = plane.place(trial)
        row: list[Any] = [trial.number, place[trial.coding], round(x, 2), round(100 - y, 2)]
        row += [describe(findings, trial), int(at < len(findings.members))]
        for name, value in sorted(trial.candidate.items()):
            row += [names.setdefault(name, len(names)), values.setdefault(_short(value), len(values))]
        rows.append(row)
    return {"names": list(names), "values": list(values), "trials": rows}


def _short(value: Value) -> str:
    """Return a value as text, a number with five digits; the table of members has them all."""
    text = str(value)
    return f"{float(text):.5g}" if re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", text) else text


def codings_figure(findings: Findings) -> Html:
    """Return the fronts of the codings over each other."""
    plane, body = Plane(findings), []
    for at, name in enumerate(findings.codings):
        if front := findings.fronts.get(name):
            mine = front.members
            body.append(steps(plane.stairs(mine), class_=f"line c{at}" + (" again" if at >= 8 else ""), data_coding=at))
            marks = [mark(at, *plane.place(one)) for one in mine]
            body.append(element("g", marks, class_=f"c{at}", data_coding=at))
    return element("figure", plane.draw(body, "The front of each coding by itself; numbers are in the table below."))


def hypervolume_figures(findings: Findings) -> Html:
    """Return the hypervolume over trials and over time, side by side where there is room."""
    values = findings.front.curve
    up = Scale(0.0, 1.06 * values[-1] if values and values[-1] > 0 else 1.0)
    counts = [float(at + 1) for at in range(len(values))]
    ends = [trial.ended_s for trial in findings.comparable]
    return element(
        "div",
        _curve(counts, values, up, ("trials judged at full budget", _count), float(len(values))),
        _curve(ends, values, up, ("time from the start", _time), findings.seconds),
        class_="pair",
    )


def _count(value: float) -> str:
    return f"{value:g}" if value == round(value) else ""


def _time(seconds: float) -> str:
    return format_duration(seconds) if seconds > 0 else "0"


def _curve(xs: Sequence[float], ys: Sequence[float], up: Scale, across: tuple[str, Any], right: float) -> Html:
    """Draw a line that changes only where the hypervolume does; of very many changes, as many as can be seen."""
    name, write = across
    scale = Scale(0.0, max(right, *xs, 1e-9), time=write is _time)
    changes = [at for at in range(len(xs)) if at == 0 or ys[at] != ys[at - 1]]
    thin = max(1, -(-len(changes) // _SEGMENTS))
    kept = [at for place, at in enumerate(changes) if place % thin == 0 or place == len(changes) - 1]
    places = [(0.0, 0.0)] + [(scale.share(xs[at]), up.share(ys[at])) for at in kept]
    label = f"Hypervolume over {name}: {ys[-1]:.4f} at the end."
    drawn = picture([steps(places, class_="line")], (scale, name, [write(at) for at in scale.ticks()]),
                    (up, "hypervolume"), label, class_="small")  # fmt: skip
    return element("figure", drawn)
