"""Tables of a report: members, codings, energies, twins, endings, confirmed results."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spikefront.results.confirmed import place_in
from spikefront.results.findings import Findings
from spikefront.results.pictures.members import energies
from spikefront.results.stability import NO, YES, Stability
from spikefront.results.twins import itself
from spikefront.searchspace import ENERGY, Trial
from spikefront.searchspace.objectives import ENERGY_ERROR
from spikefront.searchspace.records import LayerEnergy
from spikefront.searchspace.trial import COMPUTE, read_name
from spikefront.searchspace.units import format_energy, format_quality

_REASONS: Final = 25
"""Most kinds of reasons that are listed."""
_LONGEST: Final = 300
"""Most characters of a reason."""
_BEFORE: Final = {"energy_nj": "energy", "latency_steps": "steps to output"}
_AFTER: Final = {"spike_rate": "spike rate", "sops": "SOPs", "macs": "MACs", "parameters": "parameters"}
"""Metrics that have a column of the table of members where they are not objectives, and its heading."""
_COUNTS: Final = ("sops", "macs", "adds", "multiplies", "shifts", "biases", "events")
_VERDICTS: Final = {"wins": "beats both", "loses": "loses to a twin", "trades": "a trade", "undecided": "undecided"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        cells: texts, or pairs of a text and the value that it is sorted by.
        trial: number of the trial, or name of the point, that it is about; None of none.
        on_front: whether that is on the front of all codings.
        below: what is folded below it: a summary, and a table or names with values.
    """

    cells: Sequence[object]
    trial: int | str | None = None
    on_front: bool = True
    below: tuple[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        titles: of the columns; one with ``coding`` shows the coding's mark, too.
        rows: its rows.
        numbers: columns that are set to the right.
        caption: text above it.
        name: its id in the page.
    """

    titles: Sequence[str]
    rows: Sequence[Row]
    numbers: Sequence[int] = ()
    caption: str = ""
    name: str | None = None


def number(value: float | None, digits: int = 4) -> str:
    """Write a number; empty for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.{digits}g}"


def probe_table(findings: Findings) -> Table:
    """Return a row for each variant of the network that a task was probed with."""

    def interval(one: Mapping[str, Any], name: str) -> str:
        low, high = one.get(f"{name}_low"), one.get(f"{name}_high")
        return "" if low is None or high is None else f"{format_quality(low)} to {format_quality(high)}"

    rows = [
        Row(
            (
                one["variant"],
                one["network"],
                (format_quality(one["quality"]), one["quality"]),
                ("" if one.get("costs") is None else format_quality(one["costs"]), one.get("costs") or 0.0),
                interval(one, "costs"),
                (str(one["seeds"]), one["seeds"]),
            )
        )
        for one in findings.probed["variants"]
    ]
    titles = ("variant", "network", findings.quality, "costs", "95 % interval", "seeds")
    flat = findings.probed["candidate"]
    names = " ".join(str(flat[name]) for name in ("coding", "neuron", "backbone") if name in flat)
    return Table(titles, rows, numbers=(2, 3, 5), caption=f"{names}, T = {flat.get('steps', '?')}; validation split")


def energy_of(trial: Trial) -> tuple[str, object]:
    """Write the energy of a trial with its standard error, where that is known."""
    value, error = (trial.metrics.get(name) for name in (ENERGY.metric, ENERGY_ERROR))
    known = value is not None and error is not None and 0 < value < math.inf and 0 <= error < math.inf
    text = format_energy(value, error) if known and value and error is not None else ENERGY.format(value)
    return text, "" if value is None else value


def trial_of(label: int | str) -> object:
    """Return what the column of trials has: the number of a trial; the name of a point, sorted behind its trial."""
    number, cut = read_name(str(label))
    return (label, number + cut / 1e6) if cut else number


def members_table(findings: Findings) -> Table:
    """Return the members of the front and of the codings' fronts, each with its configuration folded below."""
    known = {axis.metric for axis in findings.objectives}
    before, after = ({name: title for name, title in each.items() if name not in known} for each in (_BEFORE, _AFTER))
    axes = [findings.heading(axis) for axis in findings.objectives]
    titles = ["trial", "front", *axes, *before.values(), "coding", "neuron", "backbone", "steps", *after.values()]
    across, on_front = findings.front.across, {trial.name for trial in findings.members}
    every = {trial.name: trial for front in findings.fronts.values() for trial in front.members}
    every |= {trial.name: trial for trial in findings.members}

    def metric(one: Trial, name: str, text: str | None = None) -> tuple[str, object]:
        if name == ENERGY.metric:
            return energy_of(one)
        value = one.metrics.get(name)
        return number(value) if text is None else text, "" if value is None else value

    rows = []
    for one in sorted(every.values(), key=lambda one: (across.loss(one.metrics[across.metric]), one.number, one.cut)):
        place = _place(findings, one, one.name in on_front)
        reached = [metric(one, axis.metric, axis.format(one.metrics.get(axis.metric))) for axis in findings.objectives]
        parts: list[object] = [one.candidate.get(name, "") for name in ("coding", "neuron", "backbone")]
        parts.append((one.steps, one.cut) if one.cut else one.steps)
        cells = [trial_of(one.label), place, *reached, *(metric(one, name) for name in before), *parts]
        cells += [metric(one, name) for name in after]
        configuration = [*sorted(one.candidate.items()), ("MLflow run", one.run_id)]
        rows.append(Row(cells, one.label, one.name in on_front, ("configuration", configuration)))
    texts = {1, *(titles.index(name) for name in ("coding", "neuron", "backbone"))}
    numbers = [at for at in range(len(titles)) if at not in texts]
    return Table(titles, rows, numbers, "Members of the front, and of each coding's own front", "members-table")


def _place(findings: Findings, one: Trial, on_front: bool) -> str:
    is_knee = findings.knee is not None and one.name == findings.knee.name
    where = "knee" if is_knee else "front" if on_front else "of its coding"
    near = " and ".join(findings.alike.get(one.name, ()))
    where += f"; energy as that of {near}" if near else ""
    return where + ("; loses to a twin" if one.name in findings.losers else "")


def codings_table(findings: Findings) -> Table:
    """Return a row for each coding: how many trials, what they cost, and how far its own front reaches."""
    quality, *costs = findings.objectives
    spent: Counter[str] = Counter()
    for trial in findings.trials:
        spent[trial.coding] += trial.metrics.get(COMPUTE, 0.0)  # type: ignore[assignment]  # of seconds
    total = sum(spent.values())
    titles = ["coding", "trials", *(["compute"] if total else []), "judged", "stopped", "failed", "on the front"]
    titles.append(f"best {findings.quality}")
    for axis in costs:
        titles += [f"its {findings.heading(axis)}", f"{'most' if axis.maximize else 'least'} {findings.heading(axis)}"]
    rows = []
    for name in findings.codings:
        states = Counter(trial.state for trial in findings.trials if trial.coding == name)
        front = findings.fronts.get(name)
        on = sum(trial.coding == name for trial in findings.members)
        row: list[object] = [name, states.total()]
        if total:
            row.append((f"{100 * spent[name] / total:.0f} %", spent[name]))
        row += [len(front.curve) if front else 0, states["PRUNED"], states["FAIL"], on]
        if front and front.best:
            row.append(quality.format(front.best.metrics[quality.metric]))
            for axis in costs:
                values = [trial.metrics[axis.metric] for trial in front.trials.values()]
                best, least = front.best.metrics[axis.metric], min(values, key=axis.loss)
                row += [(axis.format(best), best), (axis.format(least), least)]
            row.append(f"{front.hypervolume:.4f}")
        rows.append(Row([*row, *[""] * (len(titles) + 1 - len(row))]))
    return Table([*titles, "hypervolume"], rows, range(1, len(titles) + 1))


def energy_table(findings: Findings) -> Table:
    """Return a row for each member of the front, cheapest first, with its layers folded below."""
    titles = ["trial", "coding", "energy", "where it goes", "SOPs", "MACs", "MACs, T times"]
    titles += ["spike rate: least / mean / most"]
    rows = []
    for one in findings.members:
        layers = findings.layers.get(one.name, ())
        parts, metrics = energies(one, layers), one.metrics
        whole = sum(parts.values())
        shares = ", ".join(f"{name} {nj / whole:.0%}" for name, nj in parts.items() if nj >= 0.005 * whole)
        counts = [number(metrics.get(name)) for name in ("sops", "macs", "macs_every_step")]
        rates = [number(metrics.get(name), 2) or "-" for name in ("min_layer_rate", "spike_rate", "max_layer_rate")]
        below = ("layer by layer", _layers(layers)) if layers else None
        cells = [trial_of(one.label), one.coding, energy_of(one), shares, *counts, " / ".join(rates)]
        rows.append(Row(cells, one.label, below=below))
    return Table(titles, rows, (0, 2, 4, 5, 6, 7))


def _layers(layers: Sequence[LayerEnergy]) -> Table:
    whole = sum(layer.energy_nj for layer in layers) or math.inf
    rows = []
    for one in layers:
        counts = [number(getattr(one, name) or None) for name in _COUNTS]
        rate = number(one.events / one.sites, 2) if one.sites else ""
        share = f"{one.energy_nj / whole:.1%}"
        rows.append(Row([one.layer, one.role, (ENERGY.format(one.energy_nj), one.energy_nj), share, *counts, rate]))
    counted = ["SOPs", "MACs", "additions", "multiplications", *_COUNTS[4:]]
    titles = ["layer", "role", "energy", "share", *counted, "events per place and step"]
    return Table(titles, rows, range(2, len(titles)))


def models_table(stability: Stability) -> Table:
    """Return a row for each member under some energy model: its energies, and whether it is on each front."""
    rows = []
    for one in stability.members:
        cells: list[object] = [trial_of(one.label), one.coding]
        for front in stability.fronts:
            place, nj = front.place(one.name), front.energies.get(one.name)
            mark = {YES: "", NO: ", not on its front"}.get(place, place)
            cells.append((f"{ENERGY.format(nj)}{mark}", "" if nj is None else nj))
        rows.append(Row(cells, one.label))
    return Table(["trial", "coding", *(front.model for front in stability.fronts)], rows, (0,))


def twins_table(findings: Findings) -> Table:
    """Return a row for each member that has twins."""
    rows = []
    for one in findings.compared:
        mine, ann, few = itself(one), one["ann"], one["quantised"]
        coding, verdict = str(one["candidate"].get("coding", "")), _VERDICTS.get(one["verdict"], one["verdict"])
        cells: list[object] = [trial_of(one["trial"]), coding, verdict, one["candidate"].get("steps", "")]
        for each, bits in ((mine, []), (ann, []), (few, [f"{few['bits']:g}"])):
            nj = each["energy_nj"]
            cells += [*bits, format_quality(each["quality"]), (ENERGY.format(nj), nj)]
        cells.append(number(one["metrics"].get("spike_rate"), 2))
        rows.append(Row([*cells, *(number(each.get("break_even_rate"), 2) for each in (ann, few))], one["trial"]))
    quality = findings.quality
    titles = ["trial", "coding", "against its twins", "T", quality, "energy", f"ANN: {quality}", "energy", "bits"]
    titles += [quality, "energy", "spike rate", "break-even: ANN", "few bits"]
    return Table(titles, rows, (0, *range(3, 14)))


def endings_table(findings: Findings) -> Table:
    """Return why trials were stopped or failed, reasons that differ only in their numbers together."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in findings.trials:
        if trial.state in ("PRUNED", "FAIL"):
            groups.setdefault((trial.state, _pattern(trial)), []).append(trial)
        elif trial.state == "COMPLETE" and trial.name not in findings.front.trials:
            groups.setdefault(("COMPLETE", "an objective is missing, not finite, or not positive"), []).append(trial)
    order = sorted(groups.items(), key=lambda item: (item[0][0] != "FAIL", -len(item[1]), item[0]))
    names = {"PRUNED": "stopped early", "FAIL": "failed", "COMPLETE": "not comparable"}
    rows = []
    for (state, reason), trials in order[:_REASONS]:
        codings = Counter(one.coding or "none chosen" for one in trials).most_common(4)
        example = f"trial {', '.join(str(one.number) for one in trials[:3])}"
        example += f": {_short(trials[0].reason)}" if trials[0].reason else ""
        counts = ", ".join(f"{name} {count}" for name, count in codings)
        rows.append(Row([names[state], len(trials), reason, example, counts]))
    left_out = f"{len(order) - _REASONS} more reasons are left out." if len(order) > _REASONS else ""
    return Table(["", "trials", "reason", "examples", "codings"], rows, (1,), left_out)


def _short(reason: str) -> str:
    line = reason.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _pattern(trial: Trial) -> str:
    """Return a reason with its numbers, and the name of the trial's coding, left out."""
    line = _short(trial.reason) or "no reason given"
    if trial.coding:
        line = re.sub(rf"(?<![\w-]){re.escape(trial.coding)}(?![\w-])", "its coding", line)
    return re.sub(r"\d[\d.,]*(?:[eE][+-]?\d+)?(?<![.,])", "#", line)


def confirmed_table(findings: Findings) -> Table:
    """Return the results of ``spikefront confirm`` on the test split."""
    _, *costs = findings.objectives
    rows = []
    for one in findings.confirmed["members"]:
        quality = one["test"]["quality"]
        low, high = quality.get("quality_low"), quality.get("quality_high")
        interval = "" if low is None else f"{format_quality(low)} to {format_quality(high)}"
        rival = one.get("rival", one.get("beaten_by"))
        place = place_in(one) if place_in(one) != "falls" else f"fell off: trial {rival} is better"
        selected, mean = (format_quality(of["quality"]) if "quality" in of else "" for of in (one["selected"], quality))
        spread = [number(quality.get("quality_sd"), 2), interval]
        means = [axis.format(one["test"].get(axis.metric, {}).get(axis.metric)) for axis in costs]
        decided = [number(one.get("probability"), 3), number(one.get("p"), 2)]
        coding = str(one["candidate"].get("coding", ""))
        rows.append(
            Row([trial_of(one["trial"]), coding, selected, mean, *spread, *means, place, *decided], one["trial"])
        )
    means = [f"{findings.heading(axis)}, mean" for axis in costs]
    titles = ["trial", "coding", "validation", "test, mean", "sd", "95 % interval", *means]
    at = 6 + len(costs)
    numbers = (0, 2, 3, 4, *range(6, at), at + 1, at + 2)
    return Table([*titles, "on the front", "probability", "p"], rows, numbers)
