"""``kill -9`` of the driver at random moments, resumed each time: nothing is lost, nothing is there twice.

``make chaos`` kills 20 times; the quick tests twice.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from spikefront.runners.engine.settings import has_begun

KILLS = int(os.environ.get("SPIKEFRONT_KILLS", "2"))
TRIALS = 10 + 2 * KILLS
START_S = 60.0
"""Longest wait for a driver to get to work."""

QUICK = ["backbone=mlp", "training.subset=256", "coding=latency,rate,direct,css", "training.epochs=4"]


def command(*more: str) -> list[str]:
    return [sys.executable, "-m", "spikefront.search", "run", "--workers", "2", *more]


def begin() -> list[str]:
    narrowed = [part for text in QUICK for part in ("--set", text)]
    return command("--task", "digits", "--name", "s", "--trials", str(TRIALS), "--seed", "1", *narrowed)


def journal(folder: Path) -> list[FrozenTrial]:
    path = folder / "searches" / "s" / "journal.log"
    if not has_begun(path):
        return []
    whole = folder / "copy.log"  # the driver may be writing, and a killed one may have left half a record
    whole.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")))
    study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(whole))))
    return study.get_trials(deepcopy=False)


def finished(trials: list[FrozenTrial]) -> dict[int, tuple[TrialState, list[float] | None]]:
    """Trials that had ended for good, and what they were told with."""
    done = (trial for trial in trials if trial.state.is_finished())
    return {t.number: (t.state, t.values) for t in done if not t.user_attrs["outcome"]["again"]}


def kill_at_a_random_moment(arguments: list[str], folder: Path, chance: random.Random) -> None:
    """Start a driver and kill it between its first steps and its end; the moment counts from its first trial."""
    before = len(finished(journal(folder)))
    with (folder / "err").open("a") as err:
        driver = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=err)
        deadline = time.monotonic() + START_S
        wanted = before + chance.randint(0, 3)  # 0: while it starts
        while driver.poll() is None and time.monotonic() < deadline and wanted > before:
            if len(finished(journal(folder))) >= wanted:
                break
            time.sleep(0.2)
        time.sleep(chance.uniform(0, 4 if wanted == before else 0.8))
        driver.send_signal(signal.SIGKILL)
        driver.wait()


def dominates(one: list[float], other: list[float]) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1]


@pytest.mark.timeout(240 + 60 * KILLS)
def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    chance = random.Random(KILLS)
    arguments = begin()
    known: dict[int, tuple[TrialState, list[float] | None]] = {}
    for _ in range(KILLS):
        kill_at_a_random_moment(arguments, tmp_path, chance)
        now = finished(journal(tmp_path))
        assert known.items() <= now.items()  # what had ended is as it was
        known = now
        if has_begun(tmp_path / "searches" / "s" / "journal.log"):
            arguments = command("--resume", "s")
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    trials = journal(tmp_path)
    ended = finished(trials)
    assert known.items() <= ended.items()
    assert len(ended) == TRIALS
    assert all(trial.state.is_finished() for trial in trials)
    again = [trial.number for trial in trials if trial.number not in ended]
    assert sorted(t.user_attrs["retry_of"] for t in trials if "retry_of" in t.user_attrs) == again

    runs = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["0"], "tags.`spikefront.role` = 'trial'")
    states = {int(run.data.tags["trial.number"]): run.data.tags["trial.state"] for run in runs}
    assert len(runs) == len(states), "no trial has two runs"
    assert states == {trial.number: trial.state.name for trial in trials}
    assert not [run for run in runs if run.info.status == "RUNNING"]
    complete = {n: values for n, (_, values) in ended.items() if values is not None}
    front = {n for n, values in complete.items() if not any(dominates(v, values) for v in complete.values())}
    assert {int(run.data.tags["trial.number"]) for run in runs if run.data.tags["pareto"] == "true"} == front
