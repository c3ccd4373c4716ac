"""One training, many points: a real search whose front has points, found by MLflow, confirmed, exported and loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
from mlflow.entities import Run
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # of which searches take two minutes on a busy machine

SEARCH = ("run", "--task", "digits", "--epochs", "2", "--workers", "1", "--no-early-stopping")
SPACE = ("coding=direct,rate-conversion", "backbone=mlp", "steps=4..8")
LOADED = """
import json
import spikefront
from spikefront.plugins.tasks.digits import Digits

model = spikefront.load("net.pt")
data = Digits().search_data(None, 1).validation
right = model.predict(data.inputs) == data.targets
print(json.dumps([float(right.double().mean()), model.candidate.cut, model.candidate.steps]))
"""


def python(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def spikefront(folder: Path, *arguments: str) -> str:
    return python(folder, "-m", "spikefront", *arguments)


def narrowed(*space: str) -> list[str]:
    return [word for one in space for word in ("--set", one)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that has ended, and one without points."""
    folder = tmp_path_factory.mktemp("points")
    spikefront(folder, *SEARCH, "--trials", "3", "--name", "with", *narrowed(*SPACE))
    spikefront(folder, *SEARCH, "--trials", "1", "--name", "without", "--no-cuts", *narrowed(*SPACE))
    return folder


def rows(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(spikefront(folder, *arguments, "--format", "json"))
    return found


def points_of(folder: Path) -> list[Run]:
    """Return the points on the front, as MLflow's own query finds them."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    query = "tags.pareto = 'true' and metrics.energy_nj < 500 and tags.search = 'with'"
    found = mlflow.search_runs(["0"], query, output_format="list", order_by=["metrics.quality DESC"])
    return [run for run in found if run.data.tags["spikefront.role"] == "point"]


def in_journal(folder: Path, name: str) -> set[str]:
    """Return the names of trials and points that no other in the journal is better than, compared one by one."""
    storage = JournalStorage(JournalFileBackend(str(folder / "searches" / name / "journal.log")))
    found: dict[str, tuple[float, float]] = {}
    for trial in optuna.load_study(study_name=None, storage=storage).get_trials():
        outcome = trial.user_attrs["outcome"]
        measured = {"": outcome["metrics"], **{f"@{cut}": of for cut, of in outcome.get("points", {}).items()}}
        found |= {f"{trial.number}{cut}": (of["energy_nj"], -of["quality"]) for cut, of in measured.items()}
    return {
        one
        for one, (energy, error) in found.items()
        if not any(e <= energy and q <= error and (e, q) != (energy, error) for e, q in found.values())
    }


def test_a_front_has_points_that_mlflow_finds_and_a_search_without_them_has_none(folder: Path) -> None:
    front, plain = rows(folder, "pareto", "with"), rows(folder, "pareto", "without")
    points = {row["trial"]: row for row in front if row["cut"]}
    assert points
    assert {str(row["trial"]) for row in front} == in_journal(folder, "with")
    assert {run.data.tags["mlflow.runName"].partition(" ")[0] for run in points_of(folder)} == {
        f"{int(name.partition('@')[0]):04d}@{row['cut']}" for name, row in points.items() if row["energy_nj"] < 500
    }
    assert all(1 <= row["cut"] < row["steps"] for row in points.values())
    assert all(row["cut"] == 0 for row in plain)
    listed = spikefront(folder, "pareto", "with")
    assert all(f" {row['cut']} of {row['steps']} " in listed for row in points.values())


def test_a_point_is_exported_and_loaded_as_such_with_the_stored_accuracy(folder: Path) -> None:
    for run in points_of(folder)[:1]:
        name = f"{run.data.tags['point.trial']}@{run.data.tags['point.cut']}"
        spikefront(folder, "export", f"with/{name}", "--to", "net.pt")
        quality, cut, steps = json.loads(python(folder, "-c", LOADED))
        assert quality == run.data.metrics["quality"]
        assert (cut, steps) == (int(run.data.params["cut"]), int(run.data.params["steps"]))
        card = (folder / "net.pt.card.md").read_text()
        assert f"| trial | `{name}` |" in card
        assert f"T = {steps}, stopped after {cut} of these steps." in card
        assert f"measured again at the export: {quality:.4f}" in card
    refused = subprocess.run(
        [sys.executable, "-m", "spikefront", "export", "with/0@99", "--to", "no.pt"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "no point 0@99 of search 'with': trial 0 can be cut at " in refused.stderr


def test_a_trial_is_confirmed_with_its_points_by_one_training_for_each_seed(folder: Path) -> None:
    front = rows(folder, "pareto", "with")
    command = [sys.executable, "-m", "spikefront", "confirm", "with", "--seeds", "2", "--selection-seeds", "0"]
    done = subprocess.run(
        [*command, "--workers", "1", "--format", "json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    trained = {str(row["trial"]).partition("@")[0] for row in front}
    wanted = f"{2 * len(trained)} trainings for {len(front)} member"
    assert done.stderr.startswith(wanted)
    confirmed = {row["trial"]: row for row in json.loads(done.stdout)}
    assert confirmed.keys() == {row["trial"] for row in front}
    assert all(row["seeds"] == 2 for row in confirmed.values())
    again = subprocess.run([*command, "--format", "json"], cwd=folder, capture_output=True, text=True, check=False)
    assert json.loads(again.stdout) == json.loads(done.stdout)  # nothing is trained again


def test_a_resumed_search_has_the_points_of_its_journal(folder: Path) -> None:
    before = {row["trial"]: row["run_id"] for row in rows(folder, "pareto", "with")}
    spikefront(folder, "run", "--resume", "with", "--trials", "4")
    after = {row["trial"]: row["run_id"] for row in rows(folder, "pareto", "with")}
    assert set(map(str, after)) == in_journal(folder, "with")
    assert all(before[name] == run for name, run in after.items() if name in before)
