"""Tables of a report: members, codings, importances, endings, confirmed results."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from spikefront.results.confirmed import place_in
from spikefront.results.findings import Findings
from spikefront.results.report.axes import key
from spikefront.results.report.html import Html, element, scrolling, table
from spikefront.results.report.importance import ENOUGH, MOST, Explained, Importance
from spikefront.searchspace import ENERGY, Trial
from spikefront.searchspace.objectives import ENERGY_ERROR
from spikefront.searchspace.units import format_energy, format_quality

_REASONS: Final = 25
"""Most kinds of reasons that are listed."""
_SHOWN: Final = 12
"""Hyperparameters of an objective that are shown at once; the others are folded."""
_LONGEST: Final = 300
"""Most characters of a reason."""

_ALIKE: Final = (
    "Energy as that of a trial: they are neighbours on the front, and differ by less than two standard errors of their "
    "difference (\u00b1, over the measured samples), so that either may be the cheaper one."
)
_BEFORE: Final = {"energy_nj": "energy", "latency_steps": "steps to output"}
_AFTER: Final = {"spike_rate": "spike rate", "sops": "SOPs", "macs": "MACs", "parameters": "parameters"}
"""Metrics that have a column of the table of members where they are not objectives, and its heading."""


def number(value: float | None, digits: int = 4) -> str:
    """Write a number; empty for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.{digits}g}"


def energy(value: float | None) -> str:
    """Write an energy; empty for None and what is not finite."""
    return ENERGY.format(value)


def energy_of(trial: Trial) -> str:
    """Write the energy of a trial with its standard error, where that is known."""
    value, error = (trial.metrics.get(name) for name in (ENERGY.metric, ENERGY_ERROR))
    if value is None or error is None or not (0 < value < math.inf and 0 <= error < math.inf):
        return energy(value)
    return format_energy(value, error)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of members.

    Attributes:
        title: its heading.
        value: returns what it is sorted by; empty where a trial has none.
        write: returns what is shown.
        numeric: whether it holds numbers.
    """

    title: str
    value: Callable[[Trial], object]
    write: Callable[[Trial], object]
    numeric: bool = True


def _columns(findings: Findings) -> Iterator[_Column]:
    """Yield the columns: objectives, and beside them metrics and hyperparameters."""
    on_front = {trial.number for trial in findings.members}

    def place(trial: Trial) -> str:
        is_knee = findings.knee is not None and trial.number == findings.knee.number
        where = "knee" if is_knee else "front" if trial.number in on_front else "of its coding"
        near = " and ".join(map(str, findings.alike.get(trial.number, ())))
        where += f"; energy as that of {near}" if near else ""
        return where + ("; loses to a twin" if trial.number in findings.losers else "")

    def metric(name: str, title: str, write: Callable[[float | None], str]) -> _Column:
        return _Column(title, lambda one: one.metrics.get(name, ""), lambda one: write(one.metrics.get(name)))

    def spent(title: str) -> _Column:
        return _Column(title, lambda one: one.metrics.get(ENERGY.metric, ""), energy_of)

    def parameter(name: str, numeric: bool = False) -> _Column:
        return _Column(name, lambda one: one.candidate.get(name, ""), lambda one: one.candidate.get(name, ""), numeric)

    known = {axis.metric for axis in findings.objectives}
    yield _Column("trial", lambda one: one.number, lambda one: one.number)
    yield _Column("front", place, place, False)
    for axis in findings.objectives:
        if axis.metric == ENERGY.metric:
            yield spent(findings.heading(axis))
        else:
            yield metric(axis.metric, findings.heading(axis), axis.format)
    for name, title in _BEFORE.items():
        if name not in known:
            yield spent(title) if name == ENERGY.metric else metric(name, title, number)
    yield _Column("coding", lambda one: one.coding, lambda one: coding_cell(findings, one.coding), False)
    yield from (parameter("neuron"), parameter("backbone"), parameter("steps", True))
    for name, title in _AFTER.items():
        if name not in known:
            yield metric(name, title, number)


def members_table(findings: Findings) -> Html:
    """Return the members of the front and of the codings' fronts, each with its configuration folded below."""
    across, columns = findings.front.across, list(_columns(findings))
    rows = {trial.number: trial for front in findings.fronts.values() for trial in front.members}
    rows |= {trial.number: trial for trial in findings.members}
    order = sorted(rows.values(), key=lambda trial: (across.loss(trial.metrics[across.metric]), trial.number))
    head = [
        element("th", element("button", column.title, type="button", data_sort=at), scope="col", class_=_kind(column))
        for at, column in enumerate(columns)
    ]
    on_front = {trial.number for trial in findings.members}
    bodies = [_body(trial, columns, trial.number in on_front) for trial in order]
    caption = element("caption", "Members of the front, and of each coding's own front")
    whole = element("table", caption, element("thead", element("tr", head)), bodies, id="members-table")
    only = element("label", element("input", type="checkbox", id="only-front"), " only the front of all codings")
    note = element("p", _ALIKE) if findings.alike else None
    return element("div", element("p", only, class_="needs-script"), scrolling(whole), note)


def _kind(column: _Column) -> str | None:
    return "number" if column.numeric else None


def _body(trial: Trial, columns: Sequence[_Column], on_front: bool) -> Html:
    cells = [
        element("td", column.write(trial), class_=_kind(column), data_value=column.value(trial)) for column in columns
    ]
    names = [[element("dt", name), element("dd", value)] for name, value in sorted(trial.candidate.items())]
    more = [element("summary", "configuration"), element("dl", names), element("p", f"MLflow run {trial.run_id}")]
    below = element("td", element("details", more), colspan=len(columns))
    return element("tbody", element("tr", cells), element("tr", below, class_="more"), data_front=int(on_front))


def codings_table(findings: Findings) -> Html:
    """Return a row for each coding: how many trials, and how far its own front reaches."""
    quality, *costs = findings.objectives
    titles = ["coding", "trials", "judged", "stopped", "failed", "on the front", f"best {findings.quality}"]
    for axis in costs:
        titles += [f"its {findings.heading(axis)}", f"{'most' if axis.maximize else 'least'} {findings.heading(axis)}"]
    titles.append("hypervolume")
    rows = []
    for name in findings.codings:
        states = Counter(trial.state for trial in findings.trials if trial.coding == name)
        front = findings.fronts.get(name)
        on = sum(trial.coding == name for trial in findings.members)
        row = [coding_cell(findings, name), states.total(), len(front.trials) if front else 0]
        row += [states["PRUNED"], states["FAIL"], on]
        if front and front.best:
            row.append(quality.format(front.best.metrics[quality.metric]))
            for axis in costs:
                values = [trial.metrics[axis.metric] for trial in front.trials.values()]
                row += [axis.format(front.best.metrics[axis.metric]), axis.format(min(values, key=axis.loss))]
            row.append(f"{front.hypervolume:.4f}")
        rows.append([*row, *[""] * (len(titles) - len(row))])
    return table(titles, rows, numbers=range(1, len(titles)))


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
    note = f"{looked}; on trials it has not seen the forest explains {max(0, explained.r2):.0%} of the variance{trust}."
    known = [row for row in explained.rows if math.isfinite(row.share)]
    few = [row for row in explained.rows if not math.isfinite(row.share)]
    parts = [element("h3", title), element("p", note), _bars(known[:_SHOWN])]
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
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in findings.trials:
        if trial.state in ("PRUNED", "FAIL"):
            groups.setdefault((trial.state, _pattern(trial)), []).append(trial)
        elif trial.state == "COMPLETE" and trial.number not in findings.front.trials:
            groups.setdefault(("COMPLETE", "an objective is missing, not finite, or not positive"), []).append(trial)
    if not groups:
        return None
    order = sorted(groups.items(), key=lambda item: (item[0][0] != "FAIL", -len(item[1]), item[0]))
    names = {"PRUNED": "stopped early", "FAIL": "failed", "COMPLETE": "not comparable"}
    rows = []
    for (state, reason), trials in order[:_REASONS]:
        codings = Counter(one.coding or "none chosen" for one in trials).most_common(4)
        numbers = ", ".join(str(one.number) for one in trials[:3])
        example = element("small", f"trial {numbers}: {_short(trials[0].reason)}" if trials[0].reason else numbers)
        counts = ", ".join(f"{name} {count}" for name, count in codings)
        reasons = element("div", reason, element("br"), example, class_="reason")
        rows.append([names[state], len(trials), reasons, counts])
    rest = len(order) - _REASONS
    more = element("p", f"{rest} more reasons are left out.") if rest > 0 else None
    return element("div", table(["", "trials", "reason, with examples", "codings"], rows, numbers=(1,)), more)


def _short(reason: str) -> str:
    line = reason.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _pattern(trial: Trial) -> str:
    """Return a reason with its numbers, and the name of the trial's coding, left out."""
    line = _short(trial.reason) or "no reason given"
    if trial.coding:
        line = re.sub(rf"(?<![\w-]){re.escape(trial.coding)}(?![\w-])", "its coding", line)
    return re.sub(r"\d[\d.,]*(?:[eE][+-]?\d+)?(?<![.,])", "#", line)


def confirmed_table(findings: Findings) -> Html:
    """Return the results of ``spikefront confirm`` on the test split."""
    _, *costs = findings.objectives
    rows = []
    for one in findings.confirmed["members"]:
        quality = one["test"]["quality"]
        low, high = quality.get("quality_low"), quality.get("quality_high")
        interval = "" if low is None else f"{format_quality(low)} to {format_quality(high)}"
        rival = one.get("rival", one.get("beaten_by"))
        place = place_in(one) if place_in(one) != "falls" else f"fell off: trial {rival} is better"
        coding = coding_cell(findings, str(one["candidate"].get("coding", "")))
        selected, mean = (format_quality(of["quality"]) if "quality" in of else "" for of in (one["selected"], quality))
        spread = [number(quality.get("quality_sd"), 2), interval]
        means = [axis.format(one["test"].get(axis.metric, {}).get(axis.metric)) for axis in costs]
        decided = [number(one.get("probability"), 3), number(one.get("p"), 2)]
        rows.append([one["trial"], coding, selected, mean, *spread, *means, place, *decided])
    means = [f"{findings.heading(axis)}, mean" for axis in costs]
    titles = ["trial", "coding", "validation", "test, mean", "sd", "95 % interval", *means]
    titles += ["on the front", "probability", "p"]
    at = 6 + len(costs)
    return table(titles, rows, numbers=(2, 3, 4, *range(6, at), at + 1, at + 2))
