"""Searches from the command line in processes of their own, and checks of their results."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from spikefront.runners.engine.settings import has_begun

if TYPE_CHECKING:
    from tests.conftest import MlflowServer

LONGEST_WAIT_S = 150.0
GONE_S = 10.0 if "SPIKEFRONT_CHAOS" in os.environ else 60.0
"""Longest time for which processes may outlive their driver, beside other tests those that start as well."""


def _environment() -> dict[str, str]:
    """Return this process's environment as if the user had not set MLflow up."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


class Process(NamedTuple):
    """A process, which its start tells from later ones of its number."""

    pid: int
    name: str
    parent: int
    start: str

    def lives(self) -> bool:
        now = _process(str(self.pid))
        return now is not None and now.start == self.start


def _process(pid: str) -> Process | None:
    """Return a process that lives; None for one that has ended, if only its parent does not know yet."""
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    state, parent, *rest = after.split()
    return None if state in "XZ" else Process(int(pid), before.partition("(")[2], int(parent), rest[17])


class Search:
    """A search named ``s`` in a folder of its own, run by one driver after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "searches" / "s" / "journal.log"
        self.err = folder / "err"
        self._drivers: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, script: Sequence[str] = ("-m", "spikefront.search")) -> subprocess.Popen[str]:
        """Start a driver: ``spikefront run`` with these arguments."""
        command = [sys.executable, *script, "run", *arguments]
        with self.err.open("a") as err:
            driver = subprocess.Popen(
                command,
                cwd=self.folder,
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        self._drivers.append(driver)
        return driver

    def wait(self, driver: subprocess.Popen[str], code: int = 0) -> str:
        """Return the output of a driver at its end, after checking its exit code."""
        out, _ = driver.communicate(timeout=LONGEST_WAIT_S)
        assert driver.returncode == code, self.err.read_text() + out
        return out

    def wait_until(self, condition: Callable[[], object], driver: subprocess.Popen[str] | None = None) -> None:
        """Wait until a condition holds, which must happen while the driver runs."""
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not condition():
            assert driver is None or driver.poll() is None, self.err.read_text()
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.1)

    def has_begun(self) -> bool:
        """Return whether a search can be resumed from the journal."""
        return has_begun(self.path)

    def trials(self) -> list[FrozenTrial]:
        """Read the journal, which may end with half a record while a driver writes it or after it was killed."""
        if not self.has_begun():
            return []
        copy = self.folder / "copy.log"
        copy.write_bytes(b"".join(line for line in self.path.read_bytes().splitlines(True) if line.endswith(b"\n")))
        study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(copy))))
        return study.get_trials(deepcopy=False)

    def ended(self) -> int:
        """Count the trials that have ended."""
        return sum(trial.state.is_finished() for trial in self.trials())

    def check_all(self, trials: int) -> None:
        """Check that the journal and the default MLflow store have each trial once, and that nothing is left over."""
        self.check_journal(trials)
        self.check_mlflow(f"sqlite:///{self.folder}/mlflow.db")
        self.check_nothing_is_left_over()

    def check_journal(self, count: int) -> None:
        """Check that the journal is complete, and that each of ``count`` trials has one final outcome."""
        for line in self.path.read_bytes().splitlines(True):
            assert line.endswith(b"\n")
            json.loads(line)
        trials = self.trials()
        assert all(trial.state.is_finished() for trial in trials)
        again = [trial.number for trial in trials if trial.user_attrs["outcome"]["again"]]
        assert len(trials) - len(again) == count
        assert sorted(t.user_attrs["retry_of"] for t in trials if "retry_of" in t.user_attrs) == again

    def check_mlflow(self, uri: str) -> dict[int, Run]:
        """Check that MLflow has the trials of the journal, each once, and return its runs by trial number."""
        trials = self.trials()
        found = MlflowClient(uri).search_runs(["0"], "tags.`spikefront.role` = 'trial'")
        runs = {int(run.data.tags["trial.number"]): run for run in found}
        assert len(found) == len(runs), "no trial has two runs"
        states = {number: run.data.tags["trial.state"] for number, run in runs.items()}
        assert states == {trial.number: trial.state.name for trial in trials}
        assert not [run for run in found if run.info.status == "RUNNING"]
        retries = {
            trial.number: str(trial.user_attrs["retry_of"]) for trial in trials if "retry_of" in trial.user_attrs
        }
        assert {
            n: run.data.tags["trial.retry_of"] for n, run in runs.items() if "trial.retry_of" in run.data.tags
        } == retries
        for trial in trials:
            outcome = trial.user_attrs["outcome"]
            if not outcome["again"]:
                assert runs[trial.number].data.tags.get("trial.reason", "") == outcome["reason"]
        points = MlflowClient(uri).search_runs(["0"], "tags.`spikefront.role` = 'point'")
        known = {(number, 0): run for number, run in runs.items()}
        known |= {(int(run.data.tags["point.trial"]), int(run.data.tags["point.cut"])): run for run in points}
        assert len(known) == len(runs) + len(points), "no point has two runs"
        assert {place for place, run in known.items() if run.data.tags["pareto"] == "true"} == _front(trials)
        (parent,) = MlflowClient(uri).search_runs(["0"], "tags.`spikefront.role` = 'search'")
        assert parent.info.status == "FINISHED"
        return runs

    def check_nothing_is_left_over(self) -> None:
        """Check that no checkpoints are left, and that weights are those of the front."""
        assert [path.name for path in (self.path.parent / "checkpoints").glob("*")] == []
        files = [path.name.removeprefix("trial-") for path in (self.path.parent / "weights").glob("*")]
        assert {int(name[:5]) for name in files} == {number for number, _ in _front(self.trials())}

    def processes(self, driver: subprocess.Popen[str]) -> set[Process]:
        """Return all processes that descend from a driver; Linux only."""
        every = {process.pid: process for name in os.listdir("/proc") if name.isdigit() and (process := _process(name))}
        found = [driver.pid]
        for parent in found:
            found += [pid for pid in every if every[pid].parent == parent]
        return {every[pid] for pid in found[1:]}

    def check_gone(self, processes: set[Process]) -> None:
        """Check that processes of a driver that has ended are gone within seconds."""
        deadline = time.monotonic() + GONE_S
        while left := [process for process in processes if process.lives()]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill drivers that a failed test left running."""
        for driver in self._drivers:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
            if driver.stdout is not None and not driver.stdout.closed:
                driver.communicate()


def _front(trials: list[FrozenTrial]) -> set[tuple[int, int]]:
    """Return the front, points included: numbers of trials, and steps at which they are cut or 0."""
    complete = {(trial.number, 0): trial.values for trial in trials if trial.values is not None}
    for trial in trials:
        for cut, metrics in trial.user_attrs["outcome"].get("points", {}).items():
            complete[trial.number, int(cut)] = [metrics["quality"], math.log10(metrics["energy_nj"])]
    return {place for place, v in complete.items() if not any(_dominates(w, v) for w in complete.values())}


def _dominates(left: list[float], right: list[float]) -> bool:
    return left != right and left[0] >= right[0] and left[1] <= right[1]


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    search = Search(tmp_path)
    yield search
    search.kill()


@pytest.fixture
def server(tmp_path: Path, start_mlflow: Callable[..., MlflowServer]) -> Iterator[MlflowServer]:
    server = start_mlflow(tmp_path)
    yield server
    server.kill()
    shutil.rmtree(tmp_path / "mlartifacts", ignore_errors=True)
