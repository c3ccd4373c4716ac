"""The files that a search leaves beside its runs: the front as JSON and as a page, and where it ran."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from glob import escape as escape_glob
from html import escape
from importlib.metadata import distributions
from pathlib import Path
from string import Template
from typing import Final

from spikefront.results.front import Scoreboard, Trial, format_quality
from spikefront.results.store.connection import redact
from spikefront.searchspace import SearchInfo
from spikefront.searchspace.units import format_energy

_COLUMNS: Final = ("trial", "quality", "energy", "latency", "coding", "neuron", "backbone")

_BESIDE: Final = (".json", ".png")
"""Endings of the files that a worker leaves beside weights, to be kept with them."""

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1c1c; background: #fff; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
svg { width: 100%; height: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; }
th.number, td.number { text-align: right; }
@media screen and (prefers-color-scheme: dark) { body { color: #e4e4e4; background: #161616; } }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
</style>
<h1>$title</h1>
<p>$summary</p>
$picture
<table>
<thead><tr>$head</tr></thead>
<tbody>
$rows
</tbody>
</table>
</html>
""")


def candidate_json(trial: Trial) -> str:
    """Return a trial's candidate in its flat form."""
    return json.dumps(dict(trial.candidate), indent=2)


def front_json(search: SearchInfo, board: Scoreboard, runs: Mapping[int | None, str]) -> str:
    """Return the front as JSON.

    Args:
        search: the search.
        board: its completed trials.
        runs: MLflow run ids by trial number, and of the search under None.
    """
    members = [
        {
            "trial": trial.number,
            "run_id": runs.get(trial.number),
            "metrics": dict(trial.metrics),
            "candidate": dict(trial.candidate),
        }
        for trial in board.front
    ]
    document = {
        "search": search.name,
        "task": search.task,
        "run_id": runs.get(None),
        "quality": search.quality,
        "objectives": [axis.metric for axis in board.objectives],
        "completed": len(board.trials),
        "hypervolume": board.hypervolume,
        "front": members,
    }
    return json.dumps(document, indent=2)


def front_page(search: SearchInfo, board: Scoreboard) -> str:
    """Return the front as one HTML page, with a picture and a table, that needs no other file and no network."""
    from spikefront.results.plot import draw, svg

    summary = (
        f"Task {search.task}: {len(board.front)} of {len(board.trials)} completed trials are on the front. "
        f"Hypervolume {board.hypervolume:.4f}. Values are on the validation split"
        + ("." if board.objectives[0].maximize else f"; less {search.quality} is better.")
    )
    picture = svg(draw(board, search.quality), f"{search.quality} over energy: the front is in the table below")
    return _PAGE.substitute(
        title=escape(f"Front of search {search.name}"),
        summary=escape(summary),
        picture=picture,
        head="".join(_cell("th", search.quality if name == "quality" else name, name) for name in _COLUMNS),
        rows="\n".join(_row(trial) for trial in board.front),
    )


def _row(trial: Trial) -> str:
    metrics, flat = trial.metrics, trial.candidate
    values = {
        "trial": str(trial.number),
        "quality": format_quality(metrics["quality"]) if "quality" in metrics else "",
        "energy": format_energy(metrics["energy_nj"]) if "energy_nj" in metrics else "",
        "latency": f"{metrics['latency_steps']:g} steps" if "latency_steps" in metrics else "",
    }
    cells = (_cell("td", values.get(name, str(flat.get(name, ""))), name) for name in _COLUMNS)
    return f"<tr>{''.join(cells)}</tr>"


def _cell(element: str, text: str, column: str) -> str:
    kind = ' class="number"' if column in ("quality", "energy", "latency") else ""
    return f"<{element}{kind}>{escape(text)}</{element}>"


def kept_beside(weights: Path) -> dict[Path, str]:
    """Return the file of a trial's weights and those that go with it, and what each is called among the artifacts.

    These have the first part of their names, which is the trial's own, left out: ``trial-00007.layers.json`` becomes
    ``layers.json``, ``trial-00007.picture.png`` becomes ``picture.png``.
    """
    beside = sorted(path for path in weights.parent.glob(f"{escape_glob(weights.stem)}.*") if path.suffix in _BESIDE)
    return {weights: weights.name} | {path: path.name.partition(".")[2] for path in beside}


def environment_json() -> str:
    """Return as JSON where and how the search ran. Passwords in addresses are hidden."""
    packages = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    document = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "command": redact(shlex.join(sys.argv)),
        "git_commit": _git_commit(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
    return json.dumps(document, indent=2)


def _git_commit() -> str | None:
    """Return the commit checked out in the current folder, or None outside of a repository."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
