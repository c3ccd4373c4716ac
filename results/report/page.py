"""Page of a report: settings, what to do next, and all results."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, select_autoescape

from spikefront.results.confirmed import place_in, selection_in, told
from spikefront.results.findings import Findings
from spikefront.results.importance import ENOUGH
from spikefront.results.pictures.activity import matrix_picture, raster_picture
from spikefront.results.pictures.front import behind, codings_picture, front_picture, hypervolume_picture
from spikefront.results.pictures.hyperparameters import (
    curved,
    hyperparameters,
    importance_picture,
    learning_picture,
    parallel_picture,
    slice_picture,
)
from spikefront.results.pictures.looks import letter, position
from spikefront.results.pictures.members import energy_picture, layers_picture, twins_picture
from spikefront.results.pictures.picture import INK, Picture
from spikefront.results.pictures.recommendation import recommendation_picture
from spikefront.results.recommendation.trust import deciding, tries, trust
from spikefront.results.report import tables
from spikefront.results.twins import how_compared, without_twins
from spikefront.searchspace import Objective, Trial
from spikefront.searchspace.front import find_knee, losses
from spikefront.searchspace.targets import replaced
from spikefront.searchspace.units import format_duration

FAINT: Final = 1500
"""Most trials that are drawn behind the front."""
_LARGEST: Final = 400_000
"""Bytes of the largest image that is put into the page."""


def report_page(findings: Findings) -> str:
    """Return the page: one HTML document that needs no other file and no network.

    Its script draws the pictures, and links them; without it the front and the tables are there. The page's own policy
    lets no other script run, and nothing be loaded.

    Args:
        findings: what was found.
    """
    with debug_mode(False):  # the checks of all charts would take a second; the tests make them
        pictures = _pictures(findings)
        specs = {name: _embedded(one) for name, one in pictures.items()}
    scripts = [_javascript() if pictures else "", _read("page.js")]
    environment = Environment(loader=PackageLoader("spikefront.results.report", "."), autoescape=select_autoescape())
    knee = _knee(findings)
    places = Counter(place_in(one) for one in findings.confirmed.get("members", ()))
    selection = selection_in(findings.confirmed)
    by_coding = tries(findings.trials)
    decide = deciding(by_coding, findings.front)
    stored, behind_front = findings.twins, len(findings.shown) - len(findings.members)
    return environment.get_template("page.html").render(
        findings=findings,
        tables=tables,
        pictures=pictures,
        sections={name: title for name, (title, shown) in _sections(findings).items() if shown},
        facts=_facts(findings),
        notes=_notes(findings),
        marks={name: letter(at) for at, name in enumerate(findings.codings)},
        on_front=Counter(one.coding for one in findings.members),
        name=shlex.quote(findings.name),
        trust=trust(by_coding),
        decide=shlex.join([*decide[:2], findings.name, *decide[2:]]),
        probe=shlex.join(["spikefront", "probe", findings.task, "--search", findings.name]),
        knee=knee,
        member=shlex.quote(f"{findings.name}/{knee}"),
        drawn=min(behind_front, FAINT),
        others=behind_front,
        beyond=len(findings.comparable) - sum(not one.cut for one in findings.shown),
        confirmed={
            "stay": places["stays"],
            "undecided": places["undecided"],
            "members": places.total() + len(findings.confirmed.get("failed", {})),
            "selection": "" if selection is None else told(selection),
        },
        images=[(findings.describe(one), _image(findings.pictures[one.name])) for one in findings.members
                if one.name in findings.pictures],
        compared_how=" ".join(
            how_compared(findings.compared, str(stored.get("split", "validation")), stored.get("seeds", ()))
        ),
        without_twins=without_twins(stored.get("members", ())),
        active=[one.name for one in _active(findings)],
        importances=[(one.axis.heading(findings.quality), one.r2) for one in findings.importances if one.rows],
        enough=ENOUGH,
        endings=tables.endings_table(findings),
        still=_inked(pictures["front"].svg()) if pictures else "",
        data=_block({"pictures": specs, **configurations(findings)}),
        css=_read("page.css"),
        scripts=scripts,
        policy=_policy(scripts),
    )  # fmt: skip


def _sections(findings: Findings) -> dict[str, tuple[str, object]]:
    """Return title of each section, and whether it has something to say."""
    return {
        "recommendation": ("Which coding, for which budget", findings.comparable),
        "next": ("What to do next", True),
        "time": ("Does the task need time and order", findings.probed or findings.inputs not in ("", "static")),
        "front": ("Front", True),
        "confirmed": ("Confirmed on the test split", findings.confirmed),
        "members": ("Members", findings.comparable),
        "activity": ("What members do", findings.activities),
        "pictures": ("Pictures", findings.pictures),
        "codings": ("Codings", findings.codings),
        "twins": ("Without spikes: the twins", findings.twins),
        "hypervolume": ("Hypervolume", findings.comparable),
        "importance": ("What mattered", findings.comparable),
        "learning": ("Learning curves", findings.curves),
        "energy": ("Where the energy goes", findings.members),
        "endings": ("Stopped and failed", True),
    }


def _pictures(findings: Findings) -> dict[str, Picture]:
    """Return the pictures by name; none without a front."""
    if not findings.comparable:
        return {}
    found = {"recommendation": recommendation_picture(findings), "front": front_picture(findings, FAINT)}
    found |= {"codings": codings_picture(findings)}
    found |= {"twins": twins_picture(findings)} if findings.compared else {}
    found |= {"hypervolume": hypervolume_picture(findings), "hypervolume-time": hypervolume_picture(findings, "time")}
    found |= {"energy": energy_picture(findings)}
    if findings.knee is not None and findings.knee.name in findings.layers:
        found["layers"] = layers_picture(findings, findings.knee.name)
    found |= {"importance": importance_picture(findings)} if any(one.rows for one in findings.importances) else {}
    found |= {"parallel": parallel_picture(findings)}
    found |= {f"slice-{at}": slice_picture(findings, name) for at, name in enumerate(hyperparameters(findings)[:2])}
    found |= {f"learning-{name}": learning_picture(findings, name) for name in curved(findings)}
    for one in _active(findings):
        activity, name = findings.activities[one.name], findings.describe(one)
        found[f"raster-{one.name}"] = raster_picture(activity, name)
        matrix = matrix_picture(activity, name)
        found |= {} if matrix is None else {f"matrix-{one.name}": matrix}
    return found


def _active(findings: Findings) -> list[Trial]:
    """Return the cheapest member, the knee and the best, of those whose activity is known."""
    known = [one for one in findings.members if one.name in findings.activities]
    return [one for at, one in enumerate(known) if at in (0, len(known) - 1) or one == findings.knee]


def _knee(findings: Findings) -> int | str | None:
    """Return the knee of the front; once it is confirmed, of the means of those that did not fall off."""
    known = {trial.label for trial in findings.members}
    plane = (findings.objectives[0], findings.front.across)
    left = [one for one in findings.confirmed.get("members", ()) if place_in(one) != "falls" and one["trial"] in known]
    left = [one for one in left if all(axis.metric in one["test"] for axis in plane)]
    if not left:
        return None if findings.knee is None else findings.knee.label
    means = [[one["test"][axis.metric][axis.metric] for axis in plane] for one in left]
    found: int | str = left[find_knee(losses(means, plane))]["trial"]
    return found


def _image(png: bytes) -> str:
    """Return a PNG file in base 64; empty where it is none, or too large."""
    is_png = (
        png.startswith(b"\x89PNG\r\n\x1a\n")
        and 24 <= len(png) <= _LARGEST
        and all(any(png[at : at + 4]) for at in (16, 20))
    )
    return base64.b64encode(png).decode() if is_png else ""


@cache
def _read(name: str) -> str:
    return files("spikefront.results.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _javascript() -> str:
    """Return the JavaScript that draws, made once for each version of vl-convert: that takes 2.5 s."""
    import platformdirs
    import vl_convert

    kept = Path(platformdirs.user_cache_dir("spikefront")) / f"vega-{version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replaced(kept, unique=True) as part:
            part.write_text(made, encoding="utf-8")
    except OSError:
        pass  # made anew the next time
    return made


def _policy(scripts: Sequence[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src {allowed} 'unsafe-eval'; "
        "base-uri 'none'"
    )


def _block(value: object) -> str:
    """Return JSON that can't end its element, and whose pictures have the page's own ink."""
    text = _inked(json.dumps(value, separators=(",", ":"), allow_nan=False))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _inked(text: str) -> str:
    return text.replace(INK, "currentColor")


def _embedded(picture: Picture) -> dict[str, Any]:
    """Return a picture's specification, as wide as the page has room, without the legends that it has one for all."""
    spec = {name: value if name == "datasets" else _without_legend(value) for name, value in picture.spec.items()}
    return spec | {"width": "container"}


def _without_legend(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_legend(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _without_legend(one) for name, one in value.items()}
    return found | {"legend": None} if found.get("field") == "coding" and "legend" in found else found


def configurations(findings: Findings) -> dict[str, Any]:
    """Return places and configurations of all trials that the front draws, compact.

    Returns:
        ``knee``; ``names`` and ``values``, each text once; ``trials``, the members first: number or name, place of the
        coding, x and y, the trial in words, whether it is a member, then places in ``names`` and ``values`` by turns.
    """
    place = {name: at for at, name in enumerate(findings.codings)}
    names: dict[str, int] = {}
    values: dict[str, int] = {}
    rows = []
    for at, trial in enumerate([*findings.members, *behind(findings, FAINT)]):
        where = [position(trial, axis) for axis in (findings.front.across, findings.objectives[0])]
        row: list[Any] = [trial.label, place[trial.coding], *where, findings.describe(trial)]
        row.append(int(at < len(findings.members)))
        for name, value in sorted(trial.candidate.items()):
            row += [names.setdefault(name, len(names)), values.setdefault(_short(str(value)), len(values))]
        rows.append(row)
    knee = None if findings.knee is None else findings.knee.label
    return {"knee": knee, "names": list(names), "values": list(values), "trials": rows}


def _short(text: str) -> str:
    """Return a value, a number with five digits; the table of members has them all."""
    return f"{float(text):.5g}" if re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", text) else text


def _notes(findings: Findings) -> str:
    logarithmic = " and ".join(findings.heading(axis) for axis in findings.objectives if axis.log)
    return (
        "Quality is that on the validation split, under one seed; the search has not read the test split. Energy is "
        "counted, per sample, and priced by the energy model; the knee is the member farthest from the line between "
        "the front's extremes. Hypervolume is the share of the space between worst and ideal that the front dominates"
        + (f", with {logarithmic} on a logarithmic scale." if logarithmic else ".")
    )


def _facts(findings: Findings) -> list[tuple[str, str]]:
    options, kept = {name: str(value) for name, value in findings.options.items()}, findings.environment
    quality, *costs = findings.objectives
    states = Counter(one.state for one in findings.trials)
    words = {"COMPLETE": "judged", "PRUNED": "stopped early", "FAIL": "failed", "RUNNING": "open"}
    trials = ", ".join(f"{states[state]} {name}" for state, name in words.items() if states[state])
    where = [kept.get("platform"), f"{kept['cpus']} processors" if kept.get("cpus") else None]
    packages = kept.get("packages", {})
    versions = [f"{name} {packages[name]}" for name in ("spikefront", "torch", "ray", "optuna") if name in packages]
    models = sorted({one.versions["energy"] for one in findings.trials if "energy" in one.versions})
    priced = [f"{name.split('.', 2)[2]} = {value}" for name, value in options.items() if name.startswith("energy.")]
    began = f"{datetime.fromtimestamp(findings.began / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    return [
        ("task", findings.task),
        ("quality", f"{findings.quality}, {'more' if quality.maximize else 'less'} is better; {_scale(quality)}"),
        *((findings.heading(axis), _scale(axis)) for axis in costs),
        ("trials", trials or "none"),
        ("began", f"{began}, took {format_duration(findings.seconds)}"),
        ("ended", findings.ended or "not yet, or its driver died"),
        *((name, options.get(name, "default")) for name in ("sampler", "seed", "workers")),
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
