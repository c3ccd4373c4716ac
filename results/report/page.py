"""Page of a report: settings, what to do next, and all results."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from spikefront.results.confirmed import place_in, selection_in, told
from spikefront.results.findings import Findings
from spikefront.results.report import tables
from spikefront.results.report.axes import colours, markers
from spikefront.results.report.energy import energy_table, models_table
from spikefront.results.report.figures import (
    behind,
    codings_figure,
    configurations,
    front_figure,
    hypervolume_figures,
)
from spikefront.results.report.html import Html, data_block, element
from spikefront.results.report.importance import explain
from spikefront.results.report.pictures import pictures_section
from spikefront.results.report.twins import twins_section
from spikefront.searchspace import Objective, Trial
from spikefront.searchspace.front import find_knee, losses
from spikefront.searchspace.units import format_duration

Section = tuple[str, str, Sequence[object]]

_NOTES: Final = (
    "Quality is that on the validation split, under one seed; the search has not read the test split. Energy is "
    "counted, per sample, and priced by the energy model; the knee is the member farthest from the line between the "
    "front's extremes. Hypervolume is the share of the space between worst and ideal that the front dominates"
)

_LONG: Final = 60
"""Characters from which a fact of the header gets a line of its own."""


@cache
def _read(name: str) -> str:
    return files("spikefront.results.report").joinpath(name).read_text(encoding="utf-8")


def report_page(findings: Findings) -> str:
    """Return the page: one HTML document that needs no other file, no network and no script.

    Its script adds hover, hiding and sorting; the page's own policy lets no other script run, and nothing be loaded.

    Args:
        findings: what was found.
    """
    sections = [part for part in _sections(findings) if part is not None]
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = [
        markers(),
        _header(findings),
        element("nav", element("ul", links), aria_label="Sections"),
        element(
            "main",
            [element("section", element("h2", title), content, id=name) for name, title, content in sections],
        ),
        element("footer", element("p", element("small", _notes(findings)))),
        data_block("trials", configurations(findings)) if findings.comparable else None,
        Html(f"<script>{_read('page.js')}</script>"),
    ]
    style = _read("page.css") + colours(len(findings.codings))
    head = [
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("title", f"Search {findings.name}"),
        Html(f"<style>{style}</style>"),
    ]
    return f"<!doctype html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def _notes(findings: Findings) -> str:
    logarithmic = " and ".join(findings.heading(axis) for axis in findings.objectives if axis.log)
    return _NOTES + (f", with {logarithmic} on a logarithmic scale." if logarithmic else ".")


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_read("page.js").encode()).digest()).decode()
    allowed = "style-src 'unsafe-inline'; img-src data:"
    return f"default-src 'none'; {allowed}; script-src 'sha256-{digest}'; base-uri 'none'"


def _sections(findings: Findings) -> list[Section | None]:
    return [
        ("next", "What to do next", _next(findings)),
        ("front", "Front", _front(findings)),
        ("confirmed", "Confirmed on the test split", _confirmed(findings)) if findings.confirmed else None,
        ("members", "Members", [tables.members_table(findings)]) if findings.comparable else None,
        ("pictures", "Pictures", pictures_section(findings)) if findings.pictures else None,
        ("codings", "Codings", _codings(findings)) if findings.codings else None,
        ("twins", "Without spikes: the twins", twins_section(findings)) if findings.twins else None,
        ("hypervolume", "Hypervolume", [hypervolume_figures(findings)]) if findings.comparable else None,
        ("importance", "What mattered", _importance(findings)),
        ("energy", "Where the energy goes", _energy(findings)) if findings.members else None,
        ("endings", "Stopped and failed", _endings(findings)),
    ]


def _header(findings: Findings) -> Html:
    facts = [
        element("div", element("dt", name), element("dd", value), class_="long" if len(value) > _LONG else None)
        for name, value in _facts(findings)
        if value
    ]
    asked = [[element("dt", name), element("dd", value)] for name, value in sorted(findings.options.items())]
    options = element("details", element("summary", "all settings"), element("dl", asked), class_="more")
    title = element("h1", f"Search {findings.name}")
    summary = f"{len(findings.members)} of {len(findings.comparable)} trials judged at full budget are on the front."
    return element("header", title, element("p", summary), element("dl", facts, class_="facts"), options)


def _facts(findings: Findings) -> list[tuple[str, str]]:
    options, kept = {name: str(value) for name, value in findings.options.items()}, findings.environment
    quality, *costs = findings.objectives
    better = "more" if quality.maximize else "less"
    states = Counter(one.state for one in findings.trials)
    trials = ", ".join(
        f"{states[state]} {name}"
        for state, name in (
            ("COMPLETE", "judged"),
            ("PRUNED", "stopped early"),
            ("FAIL", "failed"),
            ("RUNNING", "open"),
        )
        if states[state]
    )
    began = datetime.fromtimestamp(findings.began / 1000, UTC)
    where = [kept.get("platform"), f"{kept['cpus']} processors" if kept.get("cpus") else None]
    packages = kept.get("packages", {})
    versions = [f"{name} {packages[name]}" for name in ("spikefront", "torch", "ray", "optuna") if name in packages]
    models = sorted({one.versions["energy"] for one in findings.trials if "energy" in one.versions})
    priced = [f"{name.split('.', 2)[2]} = {value}" for name, value in options.items() if name.startswith("energy.")]
    return [
        ("task", findings.task),
        ("quality", f"{findings.quality}, {better} is better; {_scale(quality)}"),
        *((findings.heading(axis), _scale(axis)) for axis in costs),
        ("trials", trials or "none"),
        ("began", f"{began:%Y-%m-%d %H:%M} UTC, took {format_duration(findings.seconds)}"),
        ("ended", findings.ended or "not yet, or its driver died"),
        ("sampler", options.get("sampler", "default")),
        ("seed", options.get("seed", "default")),
        ("workers", options.get("workers", "default")),
        ("energy model", ", ".join([", ".join(models) or options.get("energy_model", "default"), *priced])),
        ("space", options.get("space", "")),
        ("hardware", ", ".join(text for text in where if text)),
        ("versions", ", ".join([f"Python {kept['python']}", *versions]) if "python" in kept else ""),
        ("commit", str(kept.get("git_commit") or "")),
        ("command", str(kept.get("command", ""))),
    ]


def _scale(axis: Objective) -> str:
    worst, best = (f"{value:g}" if axis.style == "quality" else axis.format(value) for value in (axis.worst, axis.best))
    return f"hypervolume counts from {worst} to {best}" + (", logarithmic" if axis.log else "")


def _next(findings: Findings) -> list[object]:
    name, knee = shlex.quote(findings.name), _knee(findings)
    if knee is None:
        advice = "No trial was judged at full budget: look below at why trials ended, or give the search more time."
        return [element("p", advice), element("pre", f"spikefront run --resume {name}")]
    export = element(
        "pre", f"spikefront export {shlex.quote(f'{findings.name}/{knee.number}')} --to trial-{knee.number}.pt"
    )
    choice = f"Trial {knee.number} is the knee, the best compromise"
    if not findings.ended:
        advice = f"The search runs, or its driver died. {choice} so far. If it died, go on with it:"
        return [element("p", advice), element("pre", f"spikefront run --resume {name}")]
    if findings.confirmed:
        return [
            element("p", f"The front was confirmed. {choice} among those that did not fall off. Export it:"),
            export,
        ]
    why = "The front was chosen on one seed and the validation split, which flatters. Train its members anew first:"
    command = element("pre", f"spikefront confirm --search {name} --seeds 5")
    return [element("p", why), command, element("p", f"{choice}. Export it:"), export]


def _knee(findings: Findings) -> Trial | None:
    """Return the knee of the front; once it is confirmed, of the means of those that did not fall off."""
    known = {trial.number: trial for trial in findings.members}
    plane = (findings.objectives[0], findings.front.across)
    left = [one for one in findings.confirmed.get("members", ()) if place_in(one) != "falls" and one["trial"] in known]
    left = [one for one in left if all(axis.metric in one["test"] for axis in plane)]
    if not left:
        return findings.knee
    means = [[one["test"][axis.metric][axis.metric] for axis in plane] for one in left]
    return known[left[find_knee(losses(means, plane))]["trial"]]


def _front(findings: Findings) -> list[object]:
    if not findings.comparable:
        return [element("p", "No trial was judged at full budget, so there is no front.")]
    drawn, beyond = len(behind(findings)), len(findings.comparable) - len(findings.shown)
    others = len(findings.shown) - len(findings.members)
    left_out = f" {drawn:,} of {others:,} others are drawn, chosen at random." if drawn < others else ""
    left_out += f" Worse than the picture shows: {beyond:,}." if beyond else ""
    note = "The line is the best that each budget buys; faint marks are judged trials that others beat."
    left_out += " Struck through: members that lose to a twin." if findings.losers else ""
    return [element("p", note + left_out), front_figure(findings)]


def _confirmed(findings: Findings) -> list[object]:
    kept = findings.confirmed
    by = Counter(place_in(one) for one in kept["members"])
    seeds = ", ".join(map(str, kept.get("seeds", ())))
    note = f"{by['stays']} of {len(kept['members']) + len(kept.get('failed', {}))} members stay on the front"
    note += " of the means" if "rule" not in kept else ""  # an earlier version made no test
    note += f", {by['undecided']} undecided" if by["undecided"] else ""
    note += f". Each was trained anew on training and validation split, under seeds {seeds}. {kept.get('rule', '')}"
    failed = [
        element("p", f"Trial {trial} could not be confirmed: {reason}")
        for trial, reason in kept.get("failed", {}).items()
    ]
    selection = selection_in(kept)
    why = [] if selection is None else [element("p", f"On the test split {told(selection)}.")]
    return [element("p", note), tables.confirmed_table(findings), why, failed]


def _codings(findings: Findings) -> list[object]:
    picture = [codings_figure(findings)] if findings.comparable else []
    return [element("p", "What each coding reaches by itself."), *picture, tables.codings_table(findings)]


def _importance(findings: Findings) -> list[object]:
    how = (
        "The share of an objective's variance that a forest of trees no longer explains when a hyperparameter is "
        "shuffled among the trials that have it. A choice is shuffled together with the hyperparameters that come "
        "with it. It says what mattered in these trials, which the sampler chose, and not which way. What acts only "
        "together with another comes out too small where trials are few: at 0.3 of its share at 100, at 0.8 at 1,000."
    )
    each = [
        tables.importance_table(one, findings.heading(one.axis) + (" (logarithm)" if one.axis.log else ""))
        for one in explain(findings)
    ]
    return [element("p", how), element("div", each, class_="pair")]


def _energy(findings: Findings) -> list[object]:
    note = (
        "Per sample, on the measuring batch. SOPs are accumulates, MACs multiply-accumulates with constant inputs "
        "charged once; \u201cT times\u201d is the convention that charges them at every step."
    )
    if not findings.layers:
        note += " The store has no counts by layer: they are kept when a search ends."
    elif len(findings.layers) < len(findings.members):
        note += f" {len(findings.layers)} of {len(findings.members)} members are shown layer by layer."
    models = None if findings.stability is None else models_table(findings.stability)
    return [element("p", note), energy_table(findings), models]


def _endings(findings: Findings) -> list[object]:
    endings = tables.endings_table(findings)
    if endings is None:
        return [element("p", "No trial was stopped early, and none failed.")]
    return [element("p", "Numbers in reasons are written #."), endings]
