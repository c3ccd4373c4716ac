"""How members stand against their twins, as MLflow has it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.transfer import export_search, import_search
from spikefront.results.twins import Twins
from spikefront.searchspace import UsageError
from spikefront.searchspace.records import LayerEnergy, TwinComparison, TwinPair, TwinResult

RECORDS = [LayerEnergy("stem", "synapse", 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, energy_nj=3.0, silent_nj=1.0)]
LAYERS = [asdict(layer) for layer in RECORDS]


@pytest.fixture
def ended(database: None, search: Callable[..., Any], candidate: Callable[..., Any], tmp_path: Path) -> None:
    """Write a search whose front are trials 0, 1 and 2; only trial 1 has left weights and layers."""
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    weights = tmp_path / "trial-00001.pt"
    weights.write_bytes(b"weights")
    weights.with_suffix(".layers.json").write_text(json.dumps({"layers": LAYERS}))
    weights.with_suffix(".picture.png").write_bytes(b"a picture")
    weights.with_suffix(".part").write_bytes(b"half a file")
    for number, (quality, energy) in enumerate([(0.5, 10.0), (0.8, 100.0), (0.9, 1e3), (0.4, 5e3)]):
        recorder.trial_started(number, candidate())
        metrics = {"quality": quality, "energy_nj": energy, "spike_rate": 0.1}
        recorder.trial_ended(number, "COMPLETE", "", metrics, weights if number == 1 else None)
    recorder.search_ended("all trials done")


def comparison(trial: int, verdict: Any, ann: float, few: float) -> TwinComparison:
    twins = TwinPair(TwinResult(ann, 50.0, 7.0, math.nan), TwinResult(few, 20.0, 6.0, 0.25), 3)
    return TwinComparison(trial, verdict, twins)


@pytest.mark.usefixtures("ended")
def test_what_a_worker_leaves_beside_weights_is_kept_with_them_and_moves_with_the_search(tmp_path: Path) -> None:
    def kept(uri: str) -> dict[str, set[str]]:
        client = MlflowClient(uri)
        runs = client.search_runs(["0"], "tags.pareto = 'true'")
        return {
            run.data.tags["trial.number"]: {entry.path for entry in client.list_artifacts(run.info.run_id)}
            for run in runs
        }

    files = {"candidate.json", "layers.json", "trial-00001.pt", "picture.png"}
    expected = {"0": {"candidate.json"}, "1": files, "2": {"candidate.json"}}
    assert kept(Store().uri) == expected
    other = f"sqlite:///{tmp_path}/other.db"
    export_search(Store(), "digits-1", "moved.zip")
    import_search(Store(other), "moved.zip")
    assert kept(other) == expected
    run = next(iter(MlflowClient(other).search_runs(["0"], "tags.`trial.number` = '1'")))
    assert json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/layers.json")) == {"layers": LAYERS}


@pytest.mark.usefixtures("ended")
def test_comparisons_are_kept_and_not_made_again() -> None:
    twins = Twins(Store())
    missing = twins.missing()
    assert {trial.number: layers for trial, layers in missing} == {0: [], 1: RECORDS, 2: []}
    trial = missing[1][0]
    assert (trial.number, trial.coding, trial.metrics["quality"]) == (1, "direct", 0.8)
    said = io.StringIO()
    take = twins.record(said)
    take(comparison(0, "trades", 0.9, 0.8))
    take(comparison(1, "loses", 0.85, 0.7))
    take(TwinComparison(2, "none", reason="no ANN of the same"))
    assert said.getvalue().splitlines() == [
        "[1/3] trial 0: trades; ANN 0.9000 for 50.0 nJ, 3 bits 0.8000 for 20.0 nJ",
        "[2/3] trial 1: loses; ANN 0.8500 for 50.0 nJ, 3 bits 0.7000 for 20.0 nJ",
        "[3/3] trial 2: no twin (no ANN of the same)",
    ]
    frame, told = twins.conclude()
    assert list(frame["trial"]) == [0, 1, 2]  # the cheapest first
    assert list(frame["twin"]) == ["trades", "loses", "none"]
    assert frame["quantised_energy_nj"].tolist()[:2] == [20.0, 20.0]
    assert frame["break_even_rate"].tolist()[:2] == [0.25, 0.25]
    assert told[0].startswith("Of 2 members, 1 lose to a twin (trial 1)")
    assert told[1:] == ["Trial 2 has no twin: no ANN of the same."]

    client = MlflowClient(Store().uri)
    (loser,) = client.search_runs(["0"], "tags.twin = 'loses' and metrics.`twin.ann.quality` > 0.8")
    assert loser.data.tags["trial.number"] == "1"
    assert loser.data.metrics["twin.quantised.bits"] == 3
    assert "twin.ann.break_even_rate" not in loser.data.metrics  # it has none
    again = Twins(Store(), "digits-1")
    assert again.missing() == []
    kept = again.conclude()[0]
    assert kept.to_json() == frame.to_json()
    (top,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    document = json.loads(mlflow.artifacts.load_text(f"{top.info.artifact_uri}/twins.json"))
    assert document["split"] == "validation"
    assert [(one["trial"], one["verdict"]) for one in document["members"]] == [(0, "trades"), (1, "loses"), (2, "none")]


@pytest.mark.usefixtures("ended")
def test_what_failed_is_tried_again() -> None:
    twins = Twins(Store())
    take = twins.record(io.StringIO())
    take(TwinComparison(0, None, reason="RuntimeError: the device is full"))
    for trial in (1, 2):
        take(comparison(trial, "wins", 0.1, 0.1))
    frame, told = twins.conclude()
    assert list(frame["trial"]) == [1, 2]
    assert told[-1] == "The twins of trial 0 failed: RuntimeError: the device is full."
    assert [trial.number for trial, _ in Twins(Store()).missing()] == [0]


def test_a_search_that_runs_has_no_twins_yet(
    database: None, search: Callable[..., Any], candidate: Callable[..., Any]
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    recorder._writer.close()
    with pytest.raises(
        UsageError, match=r"search 'digits-1' has left no front\.json: .* spikefront run --resume digits-1"
    ):
        Twins(Store())
