"""Files of a search in the store: the front and the environment as JSON, and what belongs to trained weights."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Container, Mapping
from fnmatch import fnmatch
from glob import escape as escape_glob
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.store import schema
from spikefront.results.store.documents import parsed
from spikefront.searchspace.front import Front
from spikefront.searchspace.secrets import redact, redact_address, redact_values, redacted_command
from spikefront.searchspace.trial import SearchInfo, Trial, read_name

if TYPE_CHECKING:
    from spikefront.results.store.connection import Store

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s<>\"']+")
_BESIDE: Final = (".json", ".png")
"""Suffixes of the files that a worker writes beside weights, and that belong to them."""


def candidate_json(trial: Trial) -> str:
    """Return a trial's candidate in its flat form."""
    return json.dumps(dict(trial.candidate), indent=2)


def front_json(search: SearchInfo, front: Front, runs: Mapping[str | None, str]) -> str:
    """Return the front as JSON.

    Args:
        search: the search.
        front: its front.
        runs: MLflow run ids by the names of trials and points, and of the search under None.
    """
    members = [
        {
            "trial": trial.label,
            "run_id": runs.get(trial.name),
            "metrics": dict(trial.metrics),
            "candidate": dict(trial.candidate),
        }
        for trial in front.members
    ]
    document = {
        "search": search.name,
        "task": search.task,
        "run_id": runs.get(None),
        "quality": search.quality,
        "objectives": [axis.metric for axis in front.objectives],
        "completed": len(front.curve),
        "hypervolume": front.hypervolume,
        "front": members,
    }
    return json.dumps(document, indent=2)


def points_json(front: Front) -> str:
    """Return the metrics of all comparable points as JSON, by the numbers of their trials and T'."""
    trials: dict[str, dict[str, Mapping[str, float]]] = {}
    for point in front.trials.values():
        if point.cut:
            trials.setdefault(str(point.number), {})[str(point.cut)] = dict(point.metrics)
    return json.dumps({"trials": trials}, separators=(",", ":"))


def counts_json(folder: Path, points: Container[str] = ()) -> str:
    """Return the operations of all trials of a search, and of some points, as JSON by their names.

    Args:
        folder: where the search keeps its files. A file that was damaged is left out.
        points: names of the points that are wanted; those of all would be many times as much.
    """
    trials = {}
    for path in sorted((folder / schema.COUNTS).glob("trial-*.json")):
        try:
            number, cut = read_name(path.stem.removeprefix("trial-"))
        except ValueError:
            continue  # a file of the user's own
        name = Trial(number, cut=cut).name
        if (not cut or name in points) and (found := parsed(path.read_bytes())) is not None:
            trials[name] = found
    return json.dumps({"trials": trials}, separators=(",", ":"))


def weights_and_files(weights: Path) -> dict[Path, str]:
    """Return the file of a trial's weights and those that belong to it, with their names among the artifacts.

    The first part of a name, which is the trial's own, is left out: ``trial-00007.layers.json`` becomes
    ``layers.json``.
    """
    beside = sorted(path for path in weights.parent.glob(f"{escape_glob(weights.stem)}.*") if path.suffix in _BESIDE)
    return {weights: weights.name} | {path: path.name.partition(".")[2] for path in beside}


def point_files(weights: Path, cut: int) -> dict[Path, str]:
    """Return the files of a point beside the weights of its trial, with their names among the artifacts.

    ``trial-00007@4.layers.json`` becomes ``layers.json``.
    """
    beside = sorted(weights.parent.glob(f"{escape_glob(weights.stem)}@{cut}.*"))
    return {path: path.name.partition(".")[2] for path in beside if path.suffix in _BESIDE}


def keep_text(store: Store, run_id: str, text: str, name: str) -> None:
    """Write text among the artifacts of a run; warn on stderr where these are out of reach."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.log_text(run_id, text, name)
    except (MlflowException, OSError) as error:
        why = redact(str(error).partition("\n")[0])
        print(f"spikefront: warning: {name} is not kept in MLflow: {why}", file=sys.stderr)


def redacted_file(path: Path, folder: Path) -> Path:
    """Return a copy of a file without passwords, or the file itself where there is none in it.

    Earlier versions wrote the address of the store with its password into the journal.

    Args:
        path: a journal, which has a JSON value on each line, JSON, a page, or any other file.
        folder: where the copy goes.
    """
    copy = folder / path.name
    if fnmatch(path.name, schema.JOURNAL_FILES):
        with path.open("rb") as source:
            if all(_redacted_line(line) == line for line in source):
                return path
            source.seek(0)
            with copy.open("wb") as target:
                target.writelines(map(_redacted_line, source))
        return copy
    if path.suffix not in (".json", ".html"):
        return path
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        clean = _ADDRESS.sub(lambda found: redact_address(found[0]), text)
    else:
        clean = _redacted_json(text, indent=2)
    if clean == text:
        return path
    copy.write_text(clean, encoding="utf-8")
    return copy


def _redacted_line(line: bytes) -> bytes:
    if b"://" not in line or b',"crc":' in line:  # sealed lines are of a version that stores no password
        return line
    text = line.decode(errors="surrogateescape")
    clean = _redacted_json(text, separators=(",", ":"))
    return line if clean == text else clean.rstrip("\n").encode(errors="surrogateescape") + b"\n"


def _redacted_json(text: str, **style: Any) -> str:
    """Return JSON redacted, and text that is not JSON as any other; what holds no password stays as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return redact(text)
    clean = redact_values(value)
    return text if clean == value else json.dumps(clean, **style)


def environment_json() -> str:
    """Return as JSON where and how the search ran, without passwords in addresses."""
    packages = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    document = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "command": redacted_command(sys.argv),
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
