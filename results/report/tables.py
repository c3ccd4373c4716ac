"""The tables of a report: members, codings, importances, energies, failures, confirmed results."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from spikefront.results.front import format_quality
from spikefront.results.report.axes import key
from spikefront.results.report.findings import Findings, Judged
from spikefront.results.report.html import Html, element, scrolling, table
from spikefront.results.report.importance import ENOUGH, MOST, Explained, Importance
from spikefront.searchspace.units import format_energy

_REASONS: Final = 25
"""Most kinds of reasons that are listed."""
_SHOWN: Final = 12
"""Hyperparameters of an objective that are shown at once; the others are folded."""
_LONGEST: Final = 300
"""Most characters of a reason."""

_COLUMNS: Final = (
    ("trial", "trial"),
    ("front", ""),
    ("quality", "quality"),
    ("energy", "energy_nj"),
    ("steps to output", "latency_steps"),
    ("coding", "coding"),
    ("neuron", "neuron"),
    ("backbone", "backbone"),
    ("steps", "steps"),
    ("spike rate", "spike_rate"),
    ("SOPs", "sops"),
    ("MACs", "macs"),
    ("parameters", "parameters"),
)


def number(value: float | None, digits: int = 4) -> str:
    """Write a number, or nothing where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.{digits}g}"


def energy(value: float | None) -> str:
    """Write an energy, or nothing where there is none."""
    return format_energy(value) if value is not None and value > 0 and math.isfinite(value) else ""


def members_table(findings: Findings) -> Html:
    """Return the members of the front and of the codings' fronts, each with its configuration folded below."""
    front = {one.number for one in findings.front}
    rows = {one.number: one for members in findings.fronts.values() for one in members}
    rows |= {one.number: one for one in findings.front}
    order = sorted(rows.values(), key=lambda one: (one.metrics.get("energy_nj", math.inf), one.number))
    head = [_head(findings.quality if title == "quality" else title, at) for at, (title, _) in enumerate(_COLUMNS)]
    bodies = [_body(findings, one, one.number in front) for one in order]
    caption = element("caption", "Members of the front, and of each coding's own front")
    whole = element("table", caption, element("thead", element("tr", head)), bodies, id="members-table")
    only = element("label", element("input", type="checkbox", id="only-front"), " only the front of all codings")
    return element("div", element("p", only, class_="needs-script"), scrolling(whole))


def _head(title: str, at: int) -> Html:
    kind = "number" if _is_number(at) else None
    return element("th", element("button", title, type="button", data_sort=at), scope="col", class_=kind)


def _is_number(at: int) -> bool:
    return at not in (1, 5, 6, 7)


def _body(findings: Findings, one: Judged, on_front: bool) -> Html:
    cells = []
    for at, (_, name) in enumerate(_COLUMNS):
        raw: Any = one.metrics.get(name, one.params.get(name, ""))
        text = _written(name, raw) if isinstance(raw, float) else raw
        if at < 2:
            is_knee = findings.knee is not None and one.number == findings.knee.number
            place = "knee" if is_knee else "front" if on_front else "of its coding"
            lost = "; loses to a twin" if one.number in findings.losers else ""
            raw = text = (one.number, place + lost)[at]
        text = coding_cell(findings, one.coding) if name == "coding" else text
        cells.append(element("td", text, class_="number" if _is_number(at) else None, data_value=raw))
    names = [[element("dt", name), element("dd", value)] for name, value in sorted(one.params.items())]
    more = [element("summary", "configuration"), element("dl", names), element("p", f"MLflow run {one.run_id}")]
    below = element("td", element("details", more), colspan=len(_COLUMNS))
    return element("tbody", element("tr", cells), element("tr", below, class_="more"), data_front=int(on_front))


def _written(name: str, value: float) -> str:
    if name == "quality":
        return format_quality(value)
    return energy(value) if name == "energy_nj" else number(value)


def codings_table(findings: Findings) -> Html:
    """Return a row for each coding: how many trials, and how far its own front reaches."""
    rows = []
    for name in findings.codings:
        tried = [one for one in findings.trials if one.coding == name]
        judged = [one for one in findings.judged if one.coding == name]
        states = Counter(one.state for one in tried)
        on = sum(one.coding == name for one in findings.front)
        head = [coding_cell(findings, name), len(tried), len(judged)]
        head += [states["PRUNED"], states["FAIL"], on]
        if judged:
            loss = findings.axes[0].loss
            best = min(judged, key=lambda one: (loss(one.metrics["quality"]), one.number))
            least = min((one.metrics["energy_nj"] for one in judged if "energy_nj" in one.metrics), default=None)
            head += [format_quality(best.metrics["quality"]), energy(best.metrics.get("energy_nj")), energy(least)]
            head += [f"{findings.hypervolume_of(judged):.4f}"]
        rows.append([*head, *[""] * (10 - len(head))])
    titles = ["coding", "trials", "judged", "stopped", "failed", "on the front", f"best {findings.quality}"]
    return table([*titles, "its energy", "least energy", "hypervolume"], rows, numbers=range(1, 10))


def coding_cell(findings: Findings, name: str) -> Html:
    """Return the name of a coding behind its marker."""
    mark = key(findings.codings.index(name)) if name in findings.codings else None
    return element("span", mark, name, class_="coding")


def importance_table(explained: Explained, title: str) -> Html:
    """Return the importances for one objective as bars."""
    if not explained.rows:
        why = f"{explained.trials} trials judged, {ENOUGH} needed" if explained.trials < ENOUGH else "nothing varied"
        return element("div", element("h3", title), element("p", f"Too few trials to tell ({why})."))
    looked = f"{explained.trials} trials looked at" + (", at random" if explained.trials == MOST else "")
    trust = "" if explained.r2 >= 0.3 else ": it predicts little, so the bars say little"
    told = f"{looked}; on trials it has not seen the forest explains {max(0, explained.r2):.0%} of the variance{trust}."
    known = [row for row in explained.rows if math.isfinite(row.share)]
    few = [row for row in explained.rows if not math.isfinite(row.share)]
    parts = [element("h3", title), element("p", told), _bars(known[:_SHOWN])]
    if known[_SHOWN:]:
        parts.append(element("details", element("summary", f"{len(known) - _SHOWN} more"), _bars(known[_SHOWN:])))
    if few:
        names = ", ".join(f"{row.name} ({row.trials})" for row in few)
        parts.append(
            element("details", element("summary", f"{len(few)} with too few trials"), element("p", names + "."))
        )
    return element("div", parts)


def _bars(rows: Sequence[Importance]) -> Html:
    cells = []
    for row in rows:
        inside = element("span", style=f"width: {100 * row.share:.1f}%", class_="bar")
        name = [row.name, element("small", " with its own") if row.with_own else None]
        cells.append([name, element("div", inside, class_="rail"), f"{row.share:.0%}", row.trials])
    return table(["hyperparameter", "share of variance", "", "trials"], cells, numbers=(2, 3))


def endings_table(findings: Findings) -> Html | None:
    """Return why trials were stopped or failed, reasons that differ only in their numbers together; None of none."""
    comparable = {one.number for one in findings.judged}
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in findings.trials:
        if one.state in ("PRUNED", "FAIL"):
            groups.setdefault((one.state, _kind(one)), []).append(one)
        elif one.state == "COMPLETE" and one.number not in comparable:
            groups.setdefault(("COMPLETE", "an objective is missing, not finite, or not positive"), []).append(one)
    if not groups:
        return None
    order = sorted(groups.items(), key=lambda item: (item[0][0] != "FAIL", -len(item[1]), item[0]))
    names = {"PRUNED": "stopped early", "FAIL": "failed", "COMPLETE": "not comparable"}
    rows = []
    for (state, reason), trials in order[:_REASONS]:
        codings = Counter(one.coding or "none chosen" for one in trials).most_common(4)
        numbers = ", ".join(str(one.number) for one in trials[:3])
        example = element("small", f"trial {numbers}: {_short(trials[0].reason)}" if trials[0].reason else numbers)
        told = ", ".join(f"{name} {count}" for name, count in codings)
        rows.append([names[state], len(trials), element("div", reason, element("br"), example, class_="reason"), told])
    rest = len(order) - _REASONS
    more = element("p", f"{rest} more reasons are left out.") if rest > 0 else None
    return element("div", table(["", "trials", "reason, with examples", "codings"], rows, numbers=(1,)), more)


def _short(reason: str) -> str:
    line = reason.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _kind(one: Judged) -> str:
    """Return a reason with its numbers, and the name of the trial's coding, left out."""
    line = _short(one.reason) or "no reason given"
    if one.coding:
        line = re.sub(rf"(?<![\w-]){re.escape(one.coding)}(?![\w-])", "its coding", line)
    return re.sub(r"\d[\d.,]*(?:[eE][+-]?\d+)?(?<![.,])", "#", line)


def confirmed_table(findings: Findings) -> Html:
    """Return what ``spikefront confirm`` found on the test split, or nothing before it ran."""
    rows = []
    for one in findings.confirmed["members"]:
        quality, cost = one["test"]["quality"], one["test"].get("energy_nj", {})
        low, high = quality.get("quality_low"), quality.get("quality_high")
        interval = "" if low is None else f"{format_quality(low)} to {format_quality(high)}"
        place = "stays" if one["stays"] else f"fell off: trial {one['beaten_by']} is better"
        coding = coding_cell(findings, str(one["candidate"].get("coding", "")))
        spread = [_quality(quality), number(quality.get("quality_sd"), 2), interval]
        rows.append([one["trial"], coding, _quality(one["selected"]), *spread, energy(cost.get("energy_nj")), place])
    titles = [
        "trial",
        "coding",
        "validation",
        "test, mean",
        "sd",
        "95 % interval",
        "energy, mean",
        "front of the means",
    ]
    return table(titles, rows, numbers=(2, 3, 4, 6))


def _quality(metrics: Mapping[str, float]) -> str:
    return format_quality(metrics["quality"]) if "quality" in metrics else ""
