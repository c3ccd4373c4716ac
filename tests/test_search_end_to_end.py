"""Whole searches from the command line, read back with the command line, the journal and nothing but MLflow."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

RAISES = """
from spikefront.plugins import Coding, hookimpl

class Raises(Coding):
    '''Fails at once.'''
    name = "raises"

    def encode(self, x):
        raise RuntimeError("no spikes today")

@hookimpl
def register_codings(register):
    register(Raises)
"""

# Run in the search's folder by a user who has only MLflow.
PLAIN_MLFLOW = """
import json, sys
import mlflow

experiments = sys.argv[1:] or None
found = mlflow.search_runs(filter_string="tags.pareto = 'true'", experiment_names=experiments)
client = mlflow.MlflowClient()
runs = []
for run in mlflow.search_runs(experiment_names=experiments, output_format="list"):
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    folder = mlflow.artifacts.download_artifacts(run_id=run.info.run_id) if files else ""
    told = {"tags": run.data.tags, "params": run.data.params, "metrics": run.data.metrics, "files": files}
    runs.append({"id": run.info.run_id, "status": run.info.status, "folder": folder, **told})
print(json.dumps({"front": list(found["run_id"]) if len(found) else [], "runs": runs}))
"""

ENDS_WITHIN_S: Final = 30.0


def environment() -> dict[str, str]:
    """Return this process's environment as if the user had not set MLflow up."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=200)


def spikefront(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "spikefront", *arguments)


def plain_mlflow(folder: Path, *experiments: str) -> dict[str, Any]:
    done = python(folder, "-c", PLAIN_MLFLOW, *experiments)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def journal(folder: Path, search: str) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "searches" / search / "journal.log")))
    return optuna.load_study(study_name=search, storage=storage).get_trials()


def brute_force_front(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return what nothing beats in quality (first) and energy (second), cheapest first."""
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]

    def beaten(one: FrozenTrial) -> bool:
        return any(
            other.values[0] >= one.values[0] and other.values[1] <= one.values[1] and other.values != one.values
            for other in done
        )

    return sorted((one for one in done if not beaten(one)), key=lambda trial: trial.values[1])


def pareto(folder: Path, *options: str) -> list[dict[str, Any]]:
    """Ask the command line for the front."""
    done = spikefront(folder, "pareto", "--search", "e2e", "--format", "json", *options)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    said = "" if rows else r"the filters leave none of the \d+ members of the front of e2e\n"
    assert done.returncode == 0
    assert re.fullmatch(said, done.stderr)
    return rows


@dataclass(frozen=True, slots=True)
class Searched:
    """A search that has ended."""

    folder: Path
    out: str
    err: str
    trials: list[FrozenTrial]
    runs: dict[str, dict[str, Any]]
    """MLflow's runs by trial number; the search's own under ``search``."""
    front_by_tag: list[str]
    """Trial numbers of the runs that MLflow's own query for the front returns."""
    rows: list[dict[str, Any]]
    """The front as the command line prints it."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "mine").mkdir()
    (folder / "mine" / "raises.py").write_text(RAISES)
    asked = "--trials 5 --epochs 2 --no-cuts --no-early-stopping --set training.subset=256 --workers 2 --name e2e"
    spaces = "--set backbone=mlp --set coding=direct,latency,raises --set training.optimizer.adam.lr=0.01 --seed 0"
    done = spikefront(folder, "run", "--task", "digits", "--plugins-dir", "mine", *asked.split(), *spaces.split())
    assert done.returncode == 0, done.stderr
    answer = plain_mlflow(folder)
    runs = {run["tags"].get("trial.number", "search"): run for run in answer["runs"]}
    assert len(runs) == len(answer["runs"])
    numbers = {run["id"]: number for number, run in runs.items()}
    front = [numbers[run] for run in answer["front"]]
    return Searched(folder, done.stdout, done.stderr, journal(folder, "e2e"), runs, front, pareto(folder))


def test_stdout_holds_the_outcome_and_stderr_a_line_for_each_trial(searched: Searched) -> None:
    failed = sum(trial.state is TrialState.FAIL for trial in searched.trials)

    assert 0 < failed < 5
    assert re.fullmatch(
        rf"e2e: all trials done; {5 - failed} judged, {failed} failed, 0 stopped early, in \d+ s\n"
        r"front: spikefront pareto --search e2e\n"
        r"2 codings, 1 to 2 tries each, one seed: which coding leads is not decided; "
        r"decide: spikefront recommend e2e --max-energy \d+nJ\n",
        searched.out,
    )
    progress = searched.err.splitlines()
    assert sorted(line.split()[1] for line in progress if re.match(r"trial \d", line)) == list("01234")
    assert len([line for line in progress if "failed (RuntimeError: no spikes today (raises.py:9))" in line]) == failed
    assert "Traceback" not in searched.err


def test_pareto_prints_the_front_that_brute_force_finds_in_the_journal(searched: Searched) -> None:
    front = brute_force_front(searched.trials)
    rows = searched.rows

    assert [row["trial"] for row in rows] == [trial.number for trial in front]
    for row, trial in zip(rows, front, strict=True):
        told = trial.user_attrs["outcome"]["metrics"]
        flat = trial.user_attrs["candidate"]
        assert row["quality"] == pytest.approx(trial.values[0], rel=1e-12)
        assert math.log10(row["energy_nj"]) == pytest.approx(trial.values[1], rel=1e-12)
        assert row["sops"] == pytest.approx(told["sops"], rel=1e-12)
        assert {name: row[name] for name in ("coding", "neuron", "backbone", "steps")} == {
            name: flat[name] for name in ("coding", "neuron", "backbone", "steps")
        }


def test_plain_mlflow_finds_the_same_front(searched: Searched) -> None:
    rows = {str(row["trial"]): row for row in searched.rows}

    assert sorted(searched.front_by_tag) == sorted(rows)
    for number, row in rows.items():
        run = searched.runs[number]
        assert run["id"] == row["run_id"]
        assert run["metrics"]["energy_nj"] == pytest.approx(row["energy_nj"], rel=1e-12)
        assert run["metrics"]["accuracy"] == run["metrics"]["quality"] == pytest.approx(row["quality"], rel=1e-12)


def test_limits_leave_out_exactly_what_is_worse(searched: Searched) -> None:
    rows = searched.rows
    quality, energy = rows[-1]["quality"], rows[0]["energy_nj"]  # the best, and the cheapest

    good = pareto(searched.folder, "--min-quality", repr(quality - 1e-9))
    cheap = pareto(searched.folder, "--max-energy", f"{energy * 1000 * (1 + 1e-9):.9f}pJ")

    assert good == [row for row in rows if row["quality"] >= quality - 1e-9] != []
    assert cheap == rows[:1]
    assert pareto(searched.folder, "--min-quality", repr(quality + 1e-9)) == []


def test_a_name_that_is_not_there_offers_the_nearest(searched: Searched) -> None:
    done = spikefront(searched.folder, "pareto", "--search", "e2f")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "spikefront: unknown search 'e2f'. Did you mean 'e2e'? Known: e2e.\n"


def test_each_run_in_mlflow_tells_its_trial(searched: Searched) -> None:
    status = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED"}
    parent = searched.runs["search"]["id"]

    assert len(searched.runs) == 6
    for trial in searched.trials:
        run = searched.runs[str(trial.number)]
        assert run["params"] == {name: str(value) for name, value in trial.user_attrs["candidate"].items()}
        assert (run["status"], run["tags"]["trial.state"]) == (status[trial.state], trial.state.name)
        assert (run["tags"]["mlflow.parentRunId"], run["tags"]["search"]) == (parent, "e2e")
        if trial.user_attrs["candidate"]["coding"] == "raises":
            assert run["tags"]["trial.state"] == "FAIL"
            assert run["tags"]["trial.reason"].startswith("RuntimeError: no spikes today (")
            assert run["tags"]["pareto"] == "false"
        else:
            assert run["tags"]["trial.state"] == "COMPLETE"
            assert "trial.reason" not in run["tags"]


def test_the_search_leaves_its_front_and_where_it_ran_in_mlflow(searched: Searched) -> None:
    run = searched.runs["search"]
    folder = Path(run["folder"])
    front = json.loads((folder / "front.json").read_text())
    rows = searched.rows

    assert run["status"] == "FINISHED"
    assert {"front.json", "report.html", "journal.log", "environment.json"} <= set(run["files"])
    assert [member["trial"] for member in front["front"]] == [row["trial"] for row in rows]
    assert [member["run_id"] for member in front["front"]] == [row["run_id"] for row in rows]
    assert front["completed"] == sum(trial.state is TrialState.COMPLETE for trial in searched.trials)
    assert "<svg" in (folder / "report.html").read_text()
    assert (folder / "journal.log").read_bytes() == (searched.folder / "searches/e2e/journal.log").read_bytes()
    assert "--name e2e" in json.loads((folder / "environment.json").read_text())["command"]
    assert run["params"]["space"].startswith("training.subset=256; backbone=mlp; coding=direct,latency,raises")


def test_members_of_the_front_carry_candidate_and_weights(searched: Searched) -> None:
    for row in searched.rows:
        run = searched.runs[str(row["trial"])]
        flat = searched.trials[row["trial"]].user_attrs["candidate"]
        weights = f"trial-{row['trial']:05d}.pt"

        assert {"candidate.json", weights} <= set(run["files"])
        assert json.loads((Path(run["folder"]) / "candidate.json").read_text()) == flat
        state = torch.load(Path(run["folder"]) / weights, weights_only=True)
        assert state
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
    behind = {number for number in searched.runs if number not in searched.front_by_tag} - {"search"}
    assert all("candidate.json" not in searched.runs[number]["files"] for number in behind)


def wait_for(path: Path, text: str, process: subprocess.Popen[str], timeout_s: float = 100.0) -> None:
    """Return when ``text`` is in the file that a process writes."""
    deadline = time.monotonic() + timeout_s
    while text not in path.read_text():
        assert process.poll() is None, path.read_text()
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.1)


def test_ctrl_c_ends_a_search_cleanly_and_says_how_to_see_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "raises.py").write_text(RAISES)
    (tmp_path / "study.yaml").write_text("task: digits\nexperiment: my nets\nplugins_dir: mine\ntrials: 40\n")
    asked = "--config study.yaml --workers 2 --no-early-stopping"
    asked += " --set training.epochs=5000 --set backbone=mlp --set coding=direct,raises"
    command = [sys.executable, "-m", "spikefront", "run", *asked.split(), "--name", "cut short"]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,  # a process group of its own, which Ctrl-C in a terminal would reach as a whole
        )
    try:
        wait_for(tmp_path / "err", "failed (RuntimeError: no spikes today (raises.py:", process)
        pressed = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=ENDS_WITHIN_S)
        took = time.monotonic() - pressed
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    trials = journal(tmp_path, "cut short")
    stopped = [trial for trial in trials if trial.state is TrialState.PRUNED]
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert took < ENDS_WITHIN_S
    assert process.returncode == 1  # nothing was judged
    assert re.fullmatch(
        rf"cut short: interrupted; 0 judged, {len(failed)} failed, {len(stopped)} stopped early, in \d+ s\n"
        r"front: spikefront pareto --search 'cut short' --experiment 'my nets'\n"
        r"go on: spikefront run --resume 'cut short'\n",
        out,
    )
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert failed
    assert 1 <= len(stopped) <= 2
    assert len(stopped) + len(failed) == len(trials)  # nothing is left running
    for trial in stopped:
        assert re.match(r"interrupted at epoch \d+ of 5000$", trial.user_attrs["outcome"]["reason"])

    runs = plain_mlflow(tmp_path, "my nets")["runs"]
    statuses = sorted(run["status"] for run in runs)
    assert statuses == sorted(["FINISHED", *["FAILED"] * len(failed), *["KILLED"] * len(stopped)])
    assert {run["tags"].get("search.ended") for run in runs} == {None, "interrupted"}

    advised = shlex.split(out.splitlines()[1].removeprefix("front: spikefront "))
    shown = spikefront(tmp_path, *advised, "--format", "json")
    assert (shown.returncode, json.loads(shown.stdout)) == (0, [])
