"""Sections of a report: what each says, and the tables and pictures in it."""

from __future__ import annotations

import base64
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spikefront.results.confirmed import place_in, selection_in, told
from spikefront.results.findings import Findings
from spikefront.results.pictures.front import behind, codings_picture, front_picture, hypervolume_picture
from spikefront.results.pictures.members import energy_picture, layers_picture, twins_picture
from spikefront.results.pictures.picture import Picture
from spikefront.results.report import tables
from spikefront.results.report.tables import Table
from spikefront.results.twins import how_compared, without_twins
from spikefront.searchspace import Trial
from spikefront.searchspace.front import find_knee, losses

FAINT: Final = 1500
"""Most trials that are drawn behind the front."""
_LARGEST: Final = 400_000
"""Bytes of the largest image that is put into the page."""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command to be given."""

    line: str


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG file, in base 64; empty where it is none, or too large."""

    png: str
    caption: str


Block = Text | Command | Table | Picture | Image


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page; without blocks it is left out."""

    name: str
    title: str
    blocks: Sequence[Block]


def sections_of(findings: Findings) -> list[Section]:
    """Return the sections of a report; those without blocks have nothing to say."""
    found = bool(findings.comparable)
    hypervolumes = [hypervolume_picture(findings, over) for over in ("trials", "time")] if found else []
    codings: list[Block] = [
        Text("What each coding reaches by itself."),
        *([codings_picture(findings)] if found else []),
    ]
    return [
        Section("next", "What to do next", _next(findings)),
        Section("front", "Front", _front(findings)),
        Section("confirmed", "Confirmed on the test split", _confirmed(findings) if findings.confirmed else []),
        Section("members", "Members", _members(findings) if found else []),
        Section("pictures", "Pictures", _images(findings) if findings.pictures else []),
        Section("codings", "Codings", [*codings, tables.codings_table(findings)] if findings.codings else []),
        Section("twins", "Without spikes: the twins", _twins(findings) if findings.twins else []),
        Section("hypervolume", "Hypervolume", hypervolumes),
        Section("energy", "Where the energy goes", _energy(findings) if findings.members else []),
        Section("endings", "Stopped and failed", _endings(findings)),
    ]


def _next(findings: Findings) -> list[Block]:
    name, knee = shlex.quote(findings.name), _knee(findings)
    if knee is None:
        advice = "No trial was judged at full budget: look below at why trials ended, or give the search more time."
        return [Text(advice), Command(f"spikefront run --resume {name}")]
    export = Command(f"spikefront export {shlex.quote(f'{findings.name}/{knee.number}')} --to trial-{knee.number}.pt")
    choice = f"Trial {knee.number} is the knee, the best compromise"
    if not findings.ended:
        advice = f"The search runs, or its driver died. {choice} so far. If it died, go on with it:"
        return [Text(advice), Command(f"spikefront run --resume {name}")]
    if findings.confirmed:
        return [Text(f"The front was confirmed. {choice} among those that did not fall off. Export it:"), export]
    why = "The front was chosen on one seed and the validation split, which flatters. Train its members anew first:"
    return [Text(why), Command(f"spikefront confirm --search {name} --seeds 5"), Text(f"{choice}. Export it:"), export]


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


def _front(findings: Findings) -> list[Block]:
    if not findings.comparable:
        return [Text("No trial was judged at full budget, so there is no front.")]
    drawn, beyond = len(behind(findings, FAINT)), len(findings.comparable) - len(findings.shown)
    others = len(findings.shown) - len(findings.members)
    note = "The line is the best that each budget buys; faint marks are judged trials that others beat."
    note += f" {drawn:,} of {others:,} others are drawn, chosen at random." if drawn < others else ""
    note += f" Worse than the picture shows: {beyond:,}." if beyond else ""
    note += " Struck through: members that lose to a twin." if findings.losers else ""
    return [Text(note), front_picture(findings, FAINT)]


def _confirmed(findings: Findings) -> list[Block]:
    kept = findings.confirmed
    by = Counter(place_in(one) for one in kept["members"])
    note = f"{by['stays']} of {len(kept['members']) + len(kept.get('failed', {}))} members stay on the front"
    note += " of the means" if "rule" not in kept else ""  # an earlier version made no test
    note += f", {by['undecided']} undecided" if by["undecided"] else ""
    note += ". Each was trained anew on training and validation split, under seeds "
    note += f"{', '.join(map(str, kept.get('seeds', ())))}. {kept.get('rule', '')}"
    failed = [Text(f"Trial {trial} could not be confirmed: {why}") for trial, why in kept.get("failed", {}).items()]
    selection = selection_in(kept)
    why = [] if selection is None else [Text(f"On the test split {told(selection)}.")]
    return [Text(note), tables.confirmed_table(findings), *why, *failed]


def _members(findings: Findings) -> list[Block]:
    alike = (
        "Energy as that of a trial: they are neighbours on the front, and differ by less than two standard errors of "
        "their difference (±, over the measured samples), so that either may be the cheaper one."
    )
    return [tables.members_table(findings), *([Text(alike)] if findings.alike else [])]


def _images(findings: Findings) -> list[Block]:
    shown = [one for one in findings.members if one.number in findings.pictures]
    note = "What members make, cheapest first, as their task draws it after training. Of a generator: random samples; "
    note += "below, in turns, rows of validation images and of their reconstructions."
    if len(shown) < len(findings.members):
        note += f" {len(shown)} of {len(findings.members)} members are shown, evenly spaced."
    images = []
    for one in shown:
        png, text = findings.pictures[one.number], findings.describe(one)
        is_png = png.startswith(b"\x89PNG\r\n\x1a\n") and 24 <= len(png) <= _LARGEST and any(png[16:24])
        images.append(Image(base64.b64encode(png).decode() if is_png else "", text[0].upper() + text[1:]))
    return [Text(note), *images]


def _twins(findings: Findings) -> list[Block]:
    how = (
        "Each member is held against two networks without spikes, made of its own backbone with rectifiers, trained "
        "with its schedule and seeds, and counted and priced by the same rules: one at full precision, one whose "
        "activations have as many bits as T steps can tell values apart. A member loses where one of them is at least "
        "as good and costs no more, by paired t tests over the seeds (5 % to either side, adjusted for both), and is "
        "undecided where they can't tell. The break-even is the spike rate at which the member would cost as much as "
        "the twin: 0 where none is low enough. Struck through: members that lose."
    )
    stored, known = findings.twins, findings.compared
    lost = sum(one["verdict"] == "loses" for one in known)
    parts: list[Block] = []
    if known:
        seeds = how_compared(known, str(stored.get("split", "validation")), stored.get("seeds", ()))
        parts += [Text(how), Text(" ".join([f"{lost} of {len(known)} members lose to a twin.", *seeds]))]
        parts += [twins_picture(findings), tables.twins_table(findings)]
    parts += [Text(line) for line in without_twins(stored.get("members", ()))]
    failed = stored.get("failed", {})
    return [*parts, *(Text(f"The twins of trial {trial} failed: {why}") for trial, why in failed.items())]


def _energy(findings: Findings) -> list[Block]:
    note = (
        "Per sample, on the measuring batch. SOPs are accumulates, MACs multiply-accumulates with constant inputs "
        "charged once; “T times” is the convention that charges them at every step."
    )
    if not findings.layers:
        note += " The store has no counts by layer: they are kept when a search ends."
    elif len(findings.layers) < len(findings.members):
        note += f" {len(findings.layers)} of {len(findings.members)} members are shown layer by layer."
    parts: list[Block] = [Text(note), energy_picture(findings)]
    if findings.knee is not None and findings.knee.number in findings.layers:
        parts += [Text("The knee, layer by layer:"), layers_picture(findings, findings.knee.number)]
    parts.append(tables.energy_table(findings))
    if findings.stability is None:
        return parts
    other = "Under other energy models: the stored counts, priced by each. Joules of two models don't compare; "
    said = [Text(sentence) for sentence in findings.stability.sentences()]
    return [*parts, Text(f"{other}who is on the front does."), tables.models_table(findings.stability), *said]


def _endings(findings: Findings) -> list[Block]:
    endings = tables.endings_table(findings)
    if endings is None:
        return [Text("No trial was stopped early, and none failed.")]
    table, left_out = endings
    more = [Text(f"{left_out} more reasons are left out.")] if left_out else []
    return [Text("Numbers in reasons are written #."), table, *more]
