"""What a user does with a front: confirm, export, load, compare, move. From the command line, on a real search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.slow

GUARDED = """
import pathlib
from spikefront.plugins import hookimpl
from spikefront.plugins.tasks.digits import Digits

class Guarded(Digits):
    '''Digits that write down when somebody reads their test split.'''
    name = "guarded"

    def test_data(self, data_dir, steps):
        pathlib.Path(__file__).with_name("read").touch()
        return super().test_data(data_dir, steps)

@hookimpl
def register_tasks(register):
    register(Guarded)
"""
LOADED = """
import json, sys, warnings
import spikefront
from spikefront.plugins.tasks.digits import Digits

model = spikefront.load("net.pt", plugins_dir="mine")
data = Digits().search_data(None, 1).validation
print(json.dumps(float((model.predict(data.inputs) == data.targets).double().mean())))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two searches that have ended."""
    folder = tmp_path_factory.mktemp("found")
    (folder / "mine").mkdir()
    (folder / "mine" / "guarded.py").write_text(GUARDED)
    for name in ("a", "b"):
        asked = ["run", "--task", "guarded", "--plugins-dir", "mine", "--name", name, "--trials", "4", "--epochs", "2"]
        narrowed = ["--set", "backbone=mlp", "--set", "coding=direct,css", "--seed", str(ord(name))]
        spikefront(folder, *asked, *narrowed)
    return folder


def python(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "artifacts" not in done.stderr  # MLflow has a progress bar for each file
    return done.stdout


def spikefront(folder: Path, *arguments: str) -> str:
    return python(folder, "-m", "spikefront", *arguments)


def front(folder: Path, *more: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads(spikefront(folder, "pareto", "--format", "json", *more))
    return found


@pytest.mark.timeout(900)  # it starts Python some twenty times
def test_of_all_verbs_confirm_alone_reads_the_test_split_and_what_it_found_is_kept(folder: Path) -> None:
    asked = ("confirm", "--search", "a", "--seeds", "2", "--plugins-dir", "mine", "--workers", "2", "--format", "json")
    members = front(folder, "--search", "a")
    assert spikefront(folder, "report", "a") == "a.html\n"
    spikefront(folder, "compare", "a", "b")
    spikefront(folder, "export", f"a/{members[0]['trial']}", "--to", "any.pt", "--plugins-dir", "mine")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (searched,) = client.search_runs(["0"], "tags.search = 'a' and tags.`spikefront.role` = 'search'")
    left = client.list_artifacts(searched.info.run_id)
    assert "report.html" in {entry.path for entry in left}
    assert not (folder / "mine" / "read").exists()

    rows = json.loads(spikefront(folder, *asked))

    assert (folder / "mine" / "read").exists()
    assert {row["trial"] for row in rows} == {member["trial"] for member in members}
    assert all(row["seeds"] == 2 for row in rows)
    runs = {row["trial"]: client.get_run(str(row["run_id"])) for row in members}
    for row in rows:
        seeds = client.get_metric_history(runs[row["trial"]].info.run_id, "test.quality")
        assert [point.step for point in sorted(seeds, key=lambda point: point.step)] == [98, 99]  # after ord("a")
        assert sum(point.value for point in seeds) / 2 == pytest.approx(row["test"])
        assert runs[row["trial"]].data.tags["confirmed"] == ("true" if row["front"] == "stays" else "false")
        assert runs[row["trial"]].data.tags["confirmed.verdict"] == row["front"]
        (alone,) = client.get_metric_history(runs[row["trial"]].info.run_id, "training_alone.loss")
        both = client.get_metric_history(runs[row["trial"]].info.run_id, "test.loss")
        assert alone.step == 98
        assert alone.value not in [point.value for point in both]  # trained on the training split alone

    (folder / "mine" / "read").unlink()
    assert json.loads(spikefront(folder, *asked)) == rows
    assert not (folder / "mine" / "read").exists()  # what is known is not measured again
    (found,) = (entry.path for entry in client.list_artifacts(searched.info.run_id) if entry.path == "confirmed.json")
    document = json.loads(mlflow.artifacts.load_text(f"{searched.info.artifact_uri}/{found}"))
    assert document["selection"]["seeds"] == [98]
    assert document["selection"]["flatters"] == pytest.approx(
        sum(
            run.data.metrics["quality"] - run.data.metrics["training_alone.quality"]
            for run in (client.get_run(run.info.run_id) for run in runs.values())
        )
        / len(runs)
    )

    compared = json.loads(
        spikefront(folder, "twin", "a", "--plugins-dir", "mine", "--workers", "2", "--format", "json")
    )
    assert (folder / "mine" / "read").exists()  # the twins are measured on the test split
    means = {row["trial"]: row["test"] for row in rows}
    assert {row["trial"]: row["quality"] for row in compared} == pytest.approx(means)
    assert {row["seeds"] for row in compared} == {2}


def test_an_export_is_loaded_elsewhere_and_predicts_as_it_was_judged(folder: Path) -> None:
    member = front(folder, "--search", "b")[-1]
    said = spikefront(folder, "export", f"b/{member['trial']}", "--to", "net.pt", "--plugins-dir", "mine")
    assert said.split() == ["net.pt", "net.pt.card.md"]
    assert json.loads(python(folder, "-c", LOADED)) == pytest.approx(member["quality"], abs=1e-12)
    card = (folder / "net.pt.card.md").read_text()
    assert f"b/{member['trial']}" in card or "b" in card
    assert "not confirmed" in card


def test_searches_are_compared_and_moved(folder: Path) -> None:
    rows = json.loads(spikefront(folder, "compare", "a", "b", "--plot", "both.png", "--format", "json"))
    assert {"measure", "a", "b"} <= rows[0].keys()
    assert (folder / "both.png").stat().st_size > 10_000
    spikefront(folder, "results", "export", "a", "--to", "a.zip")
    spikefront(folder, "results", "import", "a.zip", "--tracking-uri", "sqlite:///other.db")
    moved = front(folder, "--search", "a", "--tracking-uri", "sqlite:///other.db")
    kept = front(folder, "--search", "a")
    for row in (*moved, *kept):
        row.pop("run_id")
    assert moved == kept
