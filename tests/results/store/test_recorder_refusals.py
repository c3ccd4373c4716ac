"""What a store refuses, and how a slow one is told."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder

if TYPE_CHECKING:
    pass
from tests.results.store.test_recorder import Make, Search, children, evaluate, parent


@pytest.mark.usefixtures("database")
def test_a_param_or_metric_that_mlflow_refuses_costs_nothing_else(
    search: Search, candidate: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = MlflowClient.log_batch

    def log_batch(self: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> Any:
        """Refuse what an old server refuses: values above 250 characters, and two names of its own."""
        bad = [each.key for each in (*params, *metrics) if each.key in ("steps", "spike_rate")]
        bad += [param.key for param in params if len(param.value) > 250]
        if bad:
            raise MlflowException(f"invalid: {bad}", error_code=INVALID_PARAMETER_VALUE)
        return real(self, run_id, metrics, params, tags)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    info = search()
    recorder = MlflowRecorder(Store())
    recorder.search_started(replace(info, options={**info.options, "space": "x" * 6000}))
    evaluate(recorder, 0, candidate(), 0.5, 10.0)
    recorder.search_ended("done")
    client = MlflowClient(Store().uri)
    (run,) = children(client).values()
    assert run.info.status == "FINISHED"
    assert run.data.tags["trial.state"] == "COMPLETE"
    assert run.data.tags["pareto"] == "true"
    assert run.data.metrics == {"quality": 0.5, "accuracy": 0.5, "energy_nj": 10.0}
    assert run.data.params == {name: str(value) for name, value in candidate().flat().items() if name != "steps"}
    assert parent(client).data.params["space"] == "x" * 250
    assert recorder.missing == ()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith("MLflow does not take s")
    assert " and 1 more, all else is written: " in warning


@pytest.mark.usefixtures("database")
def test_a_run_that_takes_nothing_is_not_said_to_be_written(search: Search, candidate: Make) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    recorder.trial_started(0, candidate())
    recorder.epoch_ended(0, 1, {"quality": 0.5})
    client = MlflowClient(Store().uri)
    deadline = time.monotonic() + 20
    while not children(client):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.delete_run(children(client)[0].info.run_id)  # by a user, in MLflow's page
    recorder.trial_ended(0, "COMPLETE", "", {"quality": 0.5, "energy_nj": 1.0}, None)
    recorder.search_ended("done")
    assert "trial 0 end" in recorder.missing


@pytest.mark.usefixtures("database")
def test_a_slow_store_is_seen_to_be_written(
    search: Search, candidate: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spikefront.results.store.writer._PROGRESS_AFTER_S", 0.01)
    monkeypatch.setattr("spikefront.results.store.writer._PROGRESS_EVERY_S", 0.01)
    real = MlflowClient.set_terminated

    def slowly(*args: Any, **kwargs: Any) -> None:
        time.sleep(0.1)
        real(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, "set_terminated", slowly)
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    evaluate(recorder, 0, candidate(), 0.5, 10.0)
    recorder.search_ended("done")
    said = capsys.readouterr().err.splitlines()
    matches = [re.fullmatch(r"writing to MLflow: (\d+) of (\d+) left", line) for line in said]
    left = [int(match[1]) for match in matches if match]
    assert len(left) == len(said) > 1
    assert left[-1] < max(left)
