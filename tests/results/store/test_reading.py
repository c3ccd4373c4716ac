from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from spikefront.results.store import reading
from spikefront.results.store.connection import Store
from spikefront.results.store.reading import MemberFiles, read_curves, read_files
from spikefront.searchspace.activity import Activity, LayerActivity
from spikefront.searchspace.records import LayerEnergy

RECORDS = [LayerEnergy("stem", "synapse", 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, energy_nj=3.0, silent_nj=1.0)]
LAYERS = [asdict(layer) for layer in RECORDS]


@pytest.fixture
def store(database: None) -> Store:
    return Store()


@pytest.fixture
def client(store: Store) -> MlflowClient:
    return store.client


def run_with(client: MlflowClient, **texts: str) -> str:
    """Write a run whose artifacts are these texts; in their names ``__`` is a point."""
    run: str = client.create_run("0").info.run_id
    for name, text in texts.items():
        client.log_text(run, text, name.replace("__", "."))
    return run


def test_layers_are_read_of_all_and_pictures_of_those_asked_for(store: Store, client: MlflowClient) -> None:
    both = {"layers__json": json.dumps({"layers": LAYERS}), "picture__png": "bytes"}
    runs = {"3": run_with(client, **both), "1": run_with(client, **both), "2": run_with(client)}
    found = read_files(store, runs, frozenset({"1", "2"}))
    assert found == {"3": MemberFiles(RECORDS, b""), "1": MemberFiles(RECORDS, b"bytes"), "2": MemberFiles([], b"")}
    assert list(found) == ["3", "1", "2"]
    assert not list(Path.cwd().glob("*layers*"))  # what was fetched is not left about


def test_activity_is_read_of_those_asked_for(store: Store, client: MlflowClient) -> None:
    made = Activity(0, 2, (LayerActivity("input", "binary", (4,), (0, 1, 2, 3), ((1, 0, 1.0),), 0.125),), "1", "1")
    run = run_with(client, activity__json=json.dumps(made.to_dict()))
    damaged = run_with(client, activity__json=json.dumps(made.to_dict())[:-9])
    found = read_files(store, {"1": run, "2": run, "3": damaged, "4": run_with(client)}, activities={"2", "3", "4"})
    assert {name: files.activity for name, files in found.items()} == {"1": None, "2": made, "3": None, "4": None}


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"layers"', '{"layers": [{"layer": "stem"}]}'])
def test_layers_that_can_not_be_read_are_none(store: Store, client: MlflowClient, text: str) -> None:
    run = run_with(client, layers__json=text, picture__png="bytes")
    assert read_files(store, {"1": run}, frozenset({"1"})) == {"1": MemberFiles([], b"bytes")}


def test_artifacts_out_of_reach_are_none(store: Store, client: MlflowClient) -> None:
    run = run_with(client, layers__json=json.dumps({"layers": LAYERS}))
    folder = Path(client.get_run(run).info.artifact_uri.removeprefix("file://"))
    folder.rename(folder.with_name("elsewhere"))
    assert read_files(store, {"1": run, "2": "0" * 32, "2@1": ""}) == {
        "1": MemberFiles([]),
        "2": MemberFiles([]),
        "2@1": MemberFiles(),
    }


def test_several_members_are_asked_for_at_once(
    store: Store, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {str(trial): run_with(client) for trial in range(2 * reading._AT_ONCE)}
    together = threading.Barrier(reading._AT_ONCE, timeout=30)  # breaks unless so many wait at the same time
    get = client.get_run

    def get_run(run: str) -> Run:
        together.wait()
        return get(run)

    monkeypatch.setattr(client, "get_run", get_run)
    assert list(read_files(store, runs)) == list(runs)


@pytest.mark.parametrize("by_client", [False, True])
def test_curves_are_by_trial_and_epoch_and_of_two_values_of_an_epoch_the_later(
    store: Store, client: MlflowClient, by_client: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {"3": run_with(client), "1": run_with(client), "2": run_with(client)}
    for step, value in ((1, 0.2), (2, float("nan")), (10, 0.8), (0, 0.1)):
        client.log_metric(runs["3"], "quality", value, timestamp=2_000, step=step)
    client.log_metric(runs["3"], "quality", 0.9, timestamp=1_000, step=1)
    client.log_metric(runs["3"], "energy_nj", 5.0, step=10)
    client.log_metric(runs["1"], "loss", 1.0, step=1)
    if by_client:
        monkeypatch.setattr(Store, "file", None)  # as if it were a server
    found = read_curves(store, {**runs, "2": "0" * 32}, ["quality", "energy_nj"])
    assert found == {"3": {1: {"quality": 0.2}, 10: {"energy_nj": 5.0, "quality": 0.8}}, "1": {}, "2": {}}
    assert list(found["3"]) == [1, 10]
