from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from spikefront.results.named_trials import find_run
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.store.runs import Runs
from spikefront.searchspace import Candidate, SearchInfo, Trial

if TYPE_CHECKING:
    from tests.conftest import MlflowServer

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]

FRONT = "tags.pareto = 'true'"


def evaluate(recorder: MlflowRecorder, number: int, candidate: Candidate, quality: float, energy: float) -> None:
    """Call the callbacks of a trial of two epochs that completes."""
    metrics = {"quality": quality, "energy_nj": energy, "spike_rate": 0.1}
    recorder.trial_started(number, candidate)
    recorder.epoch_ended(number, 1, {"quality": quality / 2, "energy_nj": energy})
    recorder.epoch_ended(number, 2, metrics)
    recorder.trial_ended(number, "COMPLETE", "", metrics, None)


def plain_front() -> set[str]:
    """Return the trial numbers that MLflow alone shows as the front."""
    return {run.data.tags["trial.number"] for run in mlflow.search_runs(filter_string=FRONT, output_format="list")}


def children(client: MlflowClient) -> dict[int, Run]:
    runs = client.search_runs(["0"], "tags.`spikefront.role` = 'trial'", order_by=["attributes.start_time ASC"])
    found = {int(run.data.tags["trial.number"]): run for run in runs}
    assert len(found) == len(runs), "no trial has two runs"
    return found


def parent(client: MlflowClient) -> Run:
    (run,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    return run


@pytest.fixture
def lost_answers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make each run be created, and the answer to its creation be lost once."""
    real = MlflowClient.create_run
    lost: list[int] = []

    def create_run(self: MlflowClient, *args: Any, **kwargs: Any) -> Run:
        run = real(self, *args, **kwargs)
        if len(lost) < 3:
            lost.append(run.info.start_time)
            raise MlflowException("API request failed: connection reset")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", create_run)
    return lost


def test_a_search_is_found_again_with_plain_mlflow(search: Search, candidate: Make, tmp_path: Path) -> None:
    weights = tmp_path / "trial-00001.pt"
    weights.write_bytes(b"weights")
    info = search()
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    evaluate(recorder, 0, candidate("sac"), 0.8, 1e3)
    recorder.trial_started(1, candidate("direct", steps=2))
    recorder.trial_ended(1, "COMPLETE", "", {"quality": 0.9, "energy_nj": 500.0, "latency_steps": 2.0}, weights)
    evaluate(recorder, 2, candidate("direct"), 0.7, 100.0)
    evaluate(recorder, 3, candidate("direct"), 0.6, 200.0)
    recorder.trial_started(4, candidate("direct"))
    recorder.epoch_ended(4, 1, {"quality": 0.95, "energy_nj": 1.0})
    recorder.trial_ended(4, "PRUNED", "behind at epoch 1", {"quality": 0.95, "energy_nj": 1.0}, None)
    recorder.trial_started(5, candidate("direct"))
    recorder.trial_ended(5, "FAIL", "NaN loss", {}, None)
    recorder.trial_started(6, candidate("direct"))
    recorder.search_ended("all trials done")

    # Trial 1 beats 0 on both axes, 2 beats 3; 4 was not judged at full budget.
    assert plain_front() == {"1", "2"}
    cheap = mlflow.search_runs(filter_string=f"{FRONT} and metrics.energy_nj < 500", order_by=["metrics.quality DESC"])
    assert list(cheap["tags.trial.number"]) == ["2"]

    client = MlflowClient(Store().uri)
    runs, top = children(client), parent(client)
    assert {n: r.info.status for n, r in runs.items()} == {
        **dict.fromkeys(range(4), "FINISHED"),
        4: "KILLED",
        5: "FAILED",
        6: "FAILED",
    }
    ranks = {n: r.data.tags.get("pareto.rank") for n, r in runs.items()}
    assert ranks == {0: "1", 1: "0", 2: "0", 3: "1", 4: None, 5: None, 6: None}
    assert {n for n, r in runs.items() if r.data.tags["pareto"] == "false"} == {0, 3, 4, 5, 6}
    assert runs[1].data.params == {name: str(value) for name, value in candidate("direct", steps=2).flat().items()}
    assert runs[1].data.metrics == {"quality": 0.9, "accuracy": 0.9, "energy_nj": 500.0, "latency_steps": 2.0}
    tags = {
        "search": "digits-1",
        "task": "digits",
        "trial.number": "4",
        "trial.state": "PRUNED",
        "trial.reason": "behind at epoch 1",
        "plugin.task": "digits 0.1.0",
        "plugin.coding": "direct 0.1.0",
        "plugin.energy": "loihi 2.0",
        "plugin.optimizer": "adam 0.1.0",
        "plugin.surrogate": "atan 0.2.0",
        "mlflow.parentRunId": top.info.run_id,
    }
    assert tags.items() <= runs[4].data.tags.items()
    assert runs[0].data.tags["plugin.coding"] == "sac sha256:1"
    assert runs[5].data.tags["trial.reason"] == "NaN loss"
    assert runs[6].data.tags["trial.reason"] == "the search ended before it did"
    history = client.get_metric_history(runs[0].info.run_id, "accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.4), (2, 0.8)]
    assert find_run(Store(), "digits-1", 3) == runs[3].info.run_id
    assert find_run(Store(), "digits-1", 33) is None

    assert top.info.run_name == "digits-1"
    assert top.info.status == "FINISHED"
    options = {"seed": "3", "energy": "loihi", "tracking_uri": "http://***@server", "space.--set steps_4": "steps"}
    assert top.data.params == options
    assert top.data.tags["search.ended"] == "all trials done"
    assert top.data.tags["search.quality"] == "accuracy"
    # After trial 0: quality loss 0.2, energy loss 0.6. Volume 0.8 * 0.4.
    volume = client.get_metric_history(top.info.run_id, "hypervolume")
    assert volume[0].value == pytest.approx(0.8 * 0.4)
    assert {entry.path for entry in client.list_artifacts(top.info.run_id)} == {
        "environment.json",
        "front.json",
        "journal.log",
    }
    front = json.loads(mlflow.artifacts.load_text(f"{top.info.artifact_uri}/front.json"))
    assert [(member["trial"], member["run_id"]) for member in front["front"]] == [
        (2, runs[2].info.run_id),
        (1, runs[1].info.run_id),
    ]
    assert {e.path for e in client.list_artifacts(runs[1].info.run_id)} == {"candidate.json", "trial-00001.pt"}
    assert client.list_artifacts(runs[0].info.run_id) == []
    kept = json.loads(mlflow.artifacts.load_text(f"{runs[1].info.artifact_uri}/candidate.json"))
    assert kept == candidate("direct", steps=2).flat()


@pytest.mark.usefixtures("database")
def test_tags_that_went_wrong_are_repaired_at_the_end(search: Search, candidate: Make) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    evaluate(recorder, 0, candidate(), 0.8, 100.0)
    evaluate(recorder, 1, candidate(), 0.7, 200.0)
    client = MlflowClient(Store().uri)
    deadline = time.monotonic() + 20
    tags: list[str | None] = []
    while tags != ["true", "false"]:  # both are there before they are spoilt, or two would write one tag at once
        assert time.monotonic() < deadline, "tags are written while the search goes on"
        time.sleep(0.05)
        runs = children(client)
        tags = [run.data.tags.get("pareto") for _, run in sorted(runs.items())]
    for number, wrong in ((0, "false"), (1, "true")):
        run = find_run(Store(), "digits-1", number)
        assert run is not None
        client.set_tag(run, "pareto", wrong)
    assert plain_front() == {"1"}
    recorder.search_ended("done")
    assert plain_front() == {"0"}


@pytest.mark.usefixtures("database")
def test_a_run_is_not_created_twice_when_an_answer_is_lost(
    search: Search, candidate: Make, lost_answers: list[int]
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    for number in range(3):
        evaluate(recorder, number, candidate(steps=number + 1), 0.5, 10.0)
    recorder.search_ended("done")
    client = MlflowClient(Store().uri)
    assert len(lost_answers) == 3
    assert parent(client).info.status == "FINISHED"
    assert sorted(children(client)) == [0, 1, 2]
    assert plain_front() == {"0", "1", "2"}  # equal values: all on the front


@pytest.mark.usefixtures("database")
def test_runs_go_to_the_experiment_that_plain_mlflow_uses(
    search: Search, candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "codings")
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    evaluate(recorder, 0, candidate(), 0.5, 10.0)
    recorder.search_ended("done")
    assert plain_front() == {"0"}
    client = MlflowClient(Store().uri)
    assert client.search_runs(["0"]) == []
    assert len(mlflow.search_runs(experiment_names=["codings"], output_format="list")) == 2


@pytest.mark.usefixtures("database")
def test_a_deleted_experiment_is_reported(search: Search, candidate: Make, caplog: pytest.LogCaptureFixture) -> None:
    client = MlflowClient(Store().uri)
    client.delete_experiment(client.create_experiment("gone"))
    recorder = MlflowRecorder(Store(experiment="gone"))
    recorder.search_started(search())
    recorder.trial_started(0, candidate())
    recorder.search_ended("done")
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "not written to MLflow" in warning
    assert "'gone' is deleted" in warning


@pytest.mark.usefixtures("database")
def test_a_store_without_a_search_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_ended("nothing began")
    recorder.search_ended("twice")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_a_dead_server_did_not_get_is_said_once(
    search: Search,
    candidate: Make,
    free_port: Callable[[], int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(Store, "check", lambda store: None)  # it died right after the check
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    recorder = MlflowRecorder(Store(uri), patience_s=1.0)
    start = time.monotonic()
    recorder.search_started(search())
    evaluate(recorder, 0, candidate(), 0.5, 10.0)
    assert time.monotonic() - start < 0.1
    recorder.search_ended("done")
    assert time.monotonic() - start < 10
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith(f"not written to MLflow at {uri}: opening the store, the search, trial 0,")
    assert "Last error: MlflowException: API request to" in warning
    assert "searches/digits-1 has it all." in warning


@pytest.mark.usefixtures("database")
def test_an_error_that_stays_while_the_store_answers_is_not_retried_for_ever() -> None:
    runs = Runs(Store())
    stuck = MlflowException("internal error")
    assert runs.worth_retrying(stuck, 100)  # nothing answers: it is not open
    runs.open()
    assert runs.worth_retrying(stuck, 1)
    assert not runs.worth_retrying(stuck, 5)
    locked = MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)
    assert runs.worth_retrying(locked, 100)
    assert not runs.worth_retrying(KeyError("x"), 1)
    assert runs.worth_retrying(ImportError("partially initialized module"), 1)
    assert not runs.worth_retrying(ImportError("no module"), 3)
    with pytest.raises(RuntimeError, match="the MLflow store is not open"):
        Runs(Store()).end("run", "FINISHED", 0)


QUIET = """
import sys, time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
import spikefront.results
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import ENERGY, SearchInfo
assert not {"mlflow", "pandas", "altair", "rich"} & set(sys.modules)
start = time.perf_counter()
recorder = MlflowRecorder(Store())
recorder.search_started(SearchInfo("s", "digits", "accuracy", (ENERGY,), Path("."), 1, None, {}, {}))
recorder.epoch_ended(0, 1, {"quality": 0.5})
assert time.perf_counter() - start < 0.5, "nothing waits for MLflow"
recorder.search_ended("done")
"""


def test_nothing_is_imported_early_and_nothing_is_printed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    # The epoch of a trial that never started is the only thing to report.
    # A machine that is busy says how far it is, too.
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("writing to MLflow"))
    assert line.startswith("not written to MLflow")
    assert "trial 0 epoch 1" in line
    assert (tmp_path / "mlflow.db").exists()


@pytest.fixture
def server(
    tmp_path: Path, start_mlflow: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[MlflowServer]:
    server = start_mlflow(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    yield server
    server.kill()


@pytest.mark.slow
def test_a_server_killed_and_restarted_has_everything(
    server: MlflowServer, search: Search, candidate: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(server.uri)
    store.ensure()
    recorder = MlflowRecorder(store)
    recorder.search_started(search())
    evaluate(recorder, 0, candidate(), 0.5, 10.0)
    time.sleep(0.3)  # in the middle of trial 0, or after it
    server.kill()
    start = time.monotonic()
    for number in range(1, 6):
        evaluate(recorder, number, candidate(), 0.5 + number / 100, 10.0)
    assert time.monotonic() - start < 0.1, "a dead server does not slow the search"
    restart = threading.Thread(target=server.start)
    restart.start()
    evaluate(recorder, 6, candidate(), 0.4, 5.0)
    recorder.search_ended("done")
    restart.join()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    client = MlflowClient(server.uri)
    runs = children(client)
    assert sorted(runs) == list(range(7))
    assert {run.info.status for run in [*runs.values(), parent(client)]} == {"FINISHED"}
    for number in range(1, 6):
        history = client.get_metric_history(runs[number].info.run_id, "quality")
        assert [(p.step, p.value) for p in history] == [(1, (0.5 + number / 100) / 2), (2, 0.5 + number / 100)]
    front = client.search_runs(["0"], FRONT)
    assert {run.data.tags["trial.number"] for run in front} == {"5", "6"}
    assert "front.json" in {entry.path for entry in client.list_artifacts(parent(client).info.run_id)}


def test_a_database_is_read_while_it_is_written(tmp_path: Path) -> None:
    Runs(Store()).open()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("resumed", [False, True])
def test_traceback_of_a_failed_trial_is_an_artifact_of_its_run(
    search: Search, candidate: Make, resumed: bool, database: object
) -> None:
    recorder = MlflowRecorder(Store())
    text = "Traceback (most recent call last):\nValueError: x\n"
    if resumed:  # the driver died before the store had it
        failed = Trial(0, "FAIL", candidate("sac").flat(), reason="ValueError: x (mine.py:3)", traceback=text)
        recorder.search_started(replace(search(), earlier=(failed,)))
    else:
        recorder.search_started(search())
        recorder.trial_started(0, candidate("sac"))
        recorder.trial_raised(0, text)
        recorder.trial_ended(0, "FAIL", "ValueError: x (mine.py:3)", {}, None)
    recorder.search_ended("all trials done")
    run = children(MlflowClient(Store().uri))[0]
    assert run.data.tags["trial.reason"] == "ValueError: x (mine.py:3)"
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/error.txt") == text
