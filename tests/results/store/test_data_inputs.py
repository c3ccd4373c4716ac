"""The data set of a search in MLflow: each split with its digest and sizes, read back by MLflow's own client."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import Candidate, SearchInfo, Trial
from spikefront.searchspace.trial import DataSplit

SPLITS = (
    DataSplit("training", "a" * 16, (1078, 1, 8, 8), "uint8"),
    DataSplit("validation", "b" * 16, (359, 1, 8, 8), "uint8"),
)
METRICS = {"quality": 0.5, "energy_nj": 10.0}

pytestmark = pytest.mark.usefixtures("database")


def record(search: SearchInfo, candidate: Candidate) -> MlflowRecorder:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search)
    if search.earlier is None:
        recorder.trial_started(0, candidate)
        recorder.trial_ended(0, "COMPLETE", "", METRICS, None)
    recorder.search_ended("all trials done")
    return recorder


def test_splits_are_inputs_of_the_run_of_the_search_once(
    search: Callable[..., SearchInfo], candidate: Callable[..., Candidate]
) -> None:
    info = replace(search(), data=SPLITS, id="c" * 32)
    ended = Trial(0, "COMPLETE", candidate().flat(), METRICS)
    for earlier in (None, (ended,)):
        assert record(replace(info, earlier=earlier), candidate()).missing == ()

    (run,) = MlflowClient(Store().uri).search_runs(["0"], "tags.`spikefront.role` = 'search'")
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 2
    inputs = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs}
    assert {context: (one.name, one.digest) for context, one in inputs.items()} == {
        "training": ("digits", "a" * 16), "validation": ("digits", "b" * 16)
    }  # fmt: skip
    assert [json.loads(str(one.profile))["samples"] for one in inputs.values()] == [1078, 359]
    assert json.loads(inputs["training"].source)["version"] == "0.1.0"
    features = json.loads(json.loads(str(inputs["training"].schema))["mlflow_tensorspec"]["features"])
    assert features == [{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 1, 8, 8]}}]


def test_a_store_that_takes_no_inputs_costs_one_warning(
    search: Callable[..., SearchInfo],
    candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*given: object) -> None:
        raise MlflowException("no such endpoint", error_code=ENDPOINT_NOT_FOUND)

    monkeypatch.setattr(MlflowClient, "log_inputs", refuse)
    assert record(replace(search(), data=SPLITS), candidate()).missing == ()
    warnings = [message for message in caplog.messages if "does not take the data set" in message]
    assert len(warnings) == 1
