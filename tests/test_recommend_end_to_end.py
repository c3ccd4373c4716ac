"""A recommendation on a real search: trained, kept, asked again, and at the head of the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # it starts Ray three times

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


def spikefront(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", "spikefront", *arguments, "--plugins-dir", "mine"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def _check_champion(folder: Path, members: list[dict[str, object]], said: str) -> None:
    """Check that a member that is recommended has been registered, and that one without weights is a warning."""
    document = json.loads(next(folder.glob("mlruns/0/*/artifacts/recommended.json")).read_text())
    trial = str(document["trial"])
    if trial not in {str(member["trial"]) for member in members}:
        assert f"trial {trial} of a is not registered as 'digits-net'" in said
        return
    assert f"registered: models:/digits-net@champion is version 1, trial {trial}" in said
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    version = client.get_model_version_by_alias("digits-net", "champion")
    assert (Path(str(version.source)) / "data" / "network.pt").is_file()
    assert str(version.description).startswith(("best within 1.00 mJ", "tied within 1.00 mJ"))


def test_a_search_is_decided_by_further_seeds(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "guarded.py").write_text(GUARDED)
    narrowed = ["--set", "backbone=mlp", "--set", "coding=direct,latency", "--set", "steps=3..4"]
    options = ["--task", "guarded", "--trials", "4", "--epochs", "2", "--workers", "2", "--seed", "5", "--name", "a"]
    searched = spikefront(tmp_path, "run", *options, *narrowed)
    last = searched.stdout.splitlines()[-1]
    assert (
        "tries each, one seed: which coding leads is not decided; decide: spikefront recommend a --max-energy" in last
    )

    asked = ["recommend", "a", "--max-energy", "1mJ", "--candidates", "1", "--trainings", "12", "--workers", "2"]
    unread = spikefront(tmp_path, *asked, "--test-seeds", "0", "--format", "json")
    assert not (tmp_path / "mine" / "read").exists()
    lines = unread.stderr.splitlines()
    assert lines[0].startswith("2 candidates of 2 codings, at most 12 trainings more")
    made = [line for line in lines if line.startswith("[")]
    assert {line.partition(", seed ")[2].partition(":")[0] for line in made[:6]} == {"6", "7", "8"}
    rows = json.loads(unread.stdout)
    assert {row["coding"] for row in rows} == {"direct", "latency"}
    assert sum(row["best"] for row in rows) == pytest.approx(1)
    assert sum(row["seeds"] for row in rows) == len(made) <= 12
    assert unread.stderr.splitlines()[-1] == "the test split has not been read"

    read = spikefront(tmp_path, *asked, "--test-seeds", "2", "--register", "digits-net")
    _check_champion(tmp_path, json.loads(spikefront(tmp_path, "pareto", "a", "--format", "json").stdout), read.stderr)
    assert (tmp_path / "mine" / "read").exists()
    trained = [line for line in read.stderr.splitlines() if line.startswith("[")]
    assert all("on the test split" in line for line in trained)
    assert 2 <= len(trained) <= 4
    again = spikefront(tmp_path, *asked, "--test-seeds", "2")
    assert again.stdout == read.stdout
    assert "[" not in again.stderr  # nothing is trained again
    answer = read.stdout.splitlines()[-3:]
    assert answer[0].startswith(("best within 1.00 mJ: ", "tied within 1.00 mJ: "))
    assert answer[2].startswith("test split, read once, of 2 seeds")

    spikefront(tmp_path, "report", "a", "--to", "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.index("Which coding, for which budget") < page.index("What to do next")
    assert answer[2].partition(":")[2].strip() in page
