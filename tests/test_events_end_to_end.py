"""Searches on recordings of an event camera from the command line: the few of the tests, and a larger excerpt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

BUNDLED: Final = Path(__file__).parent / "data" / "nmnist"
LARGE: Final = os.environ.get("SPIKEFRONT_NMNIST")

pytestmark = pytest.mark.slow


def spikefront(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    command = [sys.executable, "-m", "spikefront", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr
    return done.stdout


def front(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(spikefront(folder, "pareto", "--search", "events", "--format", "json"))
    return rows


def search(folder: Path, task: str, data_dir: Path, *settings: str) -> list[dict[str, Any]]:
    narrowings = [part for setting in settings for part in ("--set", setting)]
    trials = "12" if data_dir != BUNDLED else "3"
    arguments = ("--task", task, "--data-dir", str(data_dir), "--trials", trials, "--name", "events", *narrowings)
    spikefront(folder, "run", *arguments)
    return front(folder)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", ["n-mnist", "n-mnist-motion"])
def test_search_on_a_few_recordings_ends_with_a_front_and_leaves_what_workers_shared(tmp_path: Path, task: str) -> None:
    rows = search(tmp_path, task, BUNDLED, "coding=direct", "backbone=mlp", "steps=2,3", "training.epochs=2")
    assert rows
    assert all(row["coding"] == "direct" and row["sops"] > 0 for row in rows)
    made = [path.name for path in (tmp_path / "cache" / "spikefront").iterdir() if path.is_dir()]
    assert sum(name.startswith("n-mnist-events") for name in made) == 1
    frames = [name for name in made if name.startswith(f"{task}-frames")]
    assert 1 <= len(frames) <= 2  # one for each T that was searched, shared by its trials


@pytest.mark.timeout(1800)
@pytest.mark.skipif(LARGE is None, reason="set SPIKEFRONT_NMNIST to N-MNIST, or a thousand recordings of it")
def test_twelve_short_trials_classify_over_80_percent(tmp_path: Path) -> None:
    assert LARGE is not None
    settings = ("coding=direct,sac,tcja", "training.epochs=6", "training.batch=32", "training.subset=1000")
    rows = search(tmp_path, "n-mnist", Path(LARGE).resolve(), *settings)
    assert max(row["quality"] for row in rows) > 0.8
    assert min(row["energy_nj"] for row in rows) > 0
