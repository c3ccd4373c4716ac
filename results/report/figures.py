"""The pictures of a report: the front, the fronts of the codings, the hypervolume."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from spikefront.results.front import format_quality
from spikefront.results.plot import quality_label
from spikefront.results.report.axes import Scale, energy_tick, key, mark, percent, picture, steps
from spikefront.results.report.findings import Findings, Judged
from spikefront.results.report.html import Html, element
from spikefront.searchspace import ENERGY
from spikefront.searchspace.front import losses, nondominated
from spikefront.searchspace.units import format_duration, format_energy

FAINT: Final = 1500
"""Most trials that are drawn behind the front."""
_LOW: Final = 12
"""Percent from below under which a label stands above its place."""
_SEGMENTS: Final = 400
"""Most points of a line over time."""


class Plane:
    """Where trials stand in pictures: quality over energy, or over the last axis where energy is none.

    Args:
        findings: the search.

    Attributes:
        across: the horizontal scale.
        up: the vertical scale.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._x, self._y = findings.across, findings.axes[0]
        self.across = Scale.around([one.metrics[self._x.metric] for one in findings.shown], self._x.log)
        self.up = Scale.around([one.metrics[self._y.metric] for one in findings.shown])

    def place(self, trial: Judged) -> tuple[float, float]:
        """Return a trial's place in percent from the lower left corner."""
        return self.across.share(trial.metrics[self._x.metric]), self.up.share(trial.metrics[self._y.metric])

    def stairs(self, members: Sequence[Judged]) -> list[tuple[float, float]]:
        """Return the places of the members that count in this plane, from left to right."""
        points = [[one.metrics[axis.metric] for axis in (self._y, self._x)] for one in members]
        kept = nondominated(losses(points, (self._y, self._x)))
        return sorted(self.place(one) for one, stays in zip(members, kept, strict=True) if stays)

    def draw(self, body: Sequence[Html], said: str, **attributes: object) -> Html:
        """Return a picture of the plane."""
        is_energy = self._x == ENERGY
        texts = [energy_tick(value) if is_energy else f"{value:g}" for value in self.across.ticks()]
        name = "energy per sample" if is_energy else self._x.metric.replace("_", " ")
        label = quality_label(self._findings.quality, self._y)
        return picture(body, (self.across, name, texts), (self.up, label), said, **attributes)


def behind(findings: Findings) -> list[Judged]:
    """Return the trials that are drawn behind the front: those that have room, or so many of them at random."""
    front = {one.number for one in findings.front}
    others = [one for one in findings.shown if one.number not in front]
    if len(others) > FAINT:
        chosen = np.random.default_rng(0).choice(len(others), FAINT, replace=False)
        others = [others[at] for at in sorted(chosen)]
    return others


def spoken(findings: Findings, trial: Judged) -> str:
    """Say in words what a trial reached."""
    energy = trial.metrics.get("energy_nj")
    told = f"trial {trial.number}, {trial.coding}, {findings.quality} {format_quality(trial.metrics['quality'])}"
    told += f", {format_energy(energy)}" if energy is not None else ""
    return told + (", loses to a twin" if trial.number in findings.losers else "")


def front_figure(findings: Findings) -> Html:
    """Return the front, with a legend and a box that shows the configuration of a trial."""
    plane, place = Plane(findings), {name: at for at, name in enumerate(findings.codings)}
    faint = [
        mark(place[one.coding], *plane.place(one), class_=f"c{place[one.coding]}", data_coding=place[one.coding])
        for one in behind(findings)
    ]
    members = [_member(findings, plane, one, place[one.coding]) for one in findings.front]
    losers = [
        mark("stroke", *plane.place(one), class_="struck", data_coding=place[one.coding])
        for one in findings.front
        if one.number in findings.losers
    ]
    body = [
        element("g", faint, class_="faint", aria_hidden="true"),
        steps(plane.stairs(findings.front), class_="steps", aria_hidden="true"),
        *_knee(findings, plane),
        element("g", members, class_="members"),
        element("g", losers, class_="losers", aria_hidden="true") if losers else Html(""),
    ]
    said = (
        f"{findings.quality} over energy, {len(findings.front)} members of the front. "
        "Arrow keys go from member to member; the table below has them all."
    )
    about = element(
        "div",
        element("p", "Point at, tap or focus a trial to see its configuration.", class_="hint"),
        id="about",
        aria_live="polite",
    )
    return element(
        "figure", _legend(findings), plane.draw(body, said, role="group", class_="front", id="front-picture"), about
    )


def _member(findings: Findings, plane: Plane, one: Judged, coding: int) -> Html:
    title = element("title", spoken(findings, one))
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
        aria_label=spoken(findings, one),
    )


def _knee(findings: Findings, plane: Plane) -> list[Html]:
    if findings.knee is None or len(findings.front) < 3:
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
        on = sum(one.coding == name for one in findings.front)
        told = element("small", f"{on} on the front") if on else None
        buttons.append(
            element("button", key(at), element("span", name), told, type="button", aria_pressed="true", data_coding=at)
        )
    return element("div", buttons, class_="legend", role="group", aria_label="Codings; press to hide or show")


def configurations(findings: Findings) -> dict[str, Any]:
    """Return places and configurations of all trials that ``front_figure`` draws, compact.

    Returns:
        ``names`` and ``values``, each text once; ``trials``, the members first: number, place of the coding, x and y in
        percent from the upper left corner, the text that is said, whether it is a member, and then places in ``names``
        and ``values`` by turns.
    """
    plane, place = Plane(findings), {name: at for at, name in enumerate(findings.codings)}
    names: dict[str, int] = {}
    values: dict[str, int] = {}
    rows: list[list[Any]] = []
    members = len(findings.front)
    for at, one in enumerate([*findings.front, *behind(findings)]):
        x, y = plane.place(one)
        head = [one.number, place[one.coding], round(x, 2), round(100 - y, 2), spoken(findings, one), int(at < members)]
        for name, value in sorted(one.params.items()):
            head += [names.setdefault(name, len(names)), values.setdefault(_short(value), len(values))]
        rows.append(head)
    return {"names": list(names), "values": list(values), "trials": rows}


def _short(value: str) -> str:
    """Cut a number to five digits; the table of members has them all."""
    return f"{float(value):.5g}" if re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", value) else value


def codings_figure(findings: Findings) -> Html:
    """Return the fronts of the codings over each other."""
    plane, body = Plane(findings), []
    for at, name in enumerate(findings.codings):
        if mine := findings.fronts.get(name):
            body.append(steps(plane.stairs(mine), class_=f"line c{at}" + (" again" if at >= 8 else ""), data_coding=at))
            marks = [mark(at, *plane.place(one)) for one in mine]
            body.append(element("g", marks, class_=f"c{at}", data_coding=at))
    return element("figure", plane.draw(body, "The front of each coding by itself; numbers are in the table below."))


def hypervolume_figures(findings: Findings) -> Html:
    """Return the hypervolume over trials and over time, side by side where there is room."""
    values = findings.hypervolume
    up = Scale(0.0, 1.06 * float(values[-1]) if len(values) and values[-1] > 0 else 1.0)
    counts = [float(at + 1) for at in range(len(values))]
    ends = [one.ended for one in findings.judged]
    return element(
        "div",
        _curve(counts, values.tolist(), up, ("trials judged at full budget", _count), float(len(values))),
        _curve(ends, values.tolist(), up, ("time from the start", _time), findings.seconds),
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
    said = f"Hypervolume over {name}: {ys[-1]:.4f} at the end."
    drawn = picture([steps(places, class_="line")], (scale, name, [write(at) for at in scale.ticks()]),
                    (up, "hypervolume"), said, class_="small")  # fmt: skip
    return element("figure", drawn)
