from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from spikefront.results import kept
from spikefront.results.kept import Kept, read_kept
from spikefront.results.store.connection import open_client, resolve_uri

LAYERS = [{"layer": "stem", "energy_nj": 3.0}]


@pytest.fixture
def client(database: None) -> MlflowClient:
    return open_client(resolve_uri())


def run_with(client: MlflowClient, **texts: str) -> str:
    """Write a run whose artifacts are these texts; in their names ``__`` is a point."""
    run: str = client.create_run("0").info.run_id
    for name, text in texts.items():
        client.log_text(run, text, name.replace("__", "."))
    return run


def test_layers_are_read_of_all_and_pictures_of_those_asked_for(client: MlflowClient) -> None:
    both = {"layers__json": json.dumps({"layers": LAYERS}), "picture__png": "bytes"}
    runs = {3: run_with(client, **both), 1: run_with(client, **both), 2: run_with(client)}
    found = read_kept(client, runs, frozenset({1, 2}))
    assert found == {3: Kept(LAYERS, b""), 1: Kept(LAYERS, b"bytes"), 2: Kept((), b"")}
    assert list(found) == [3, 1, 2]
    assert not list(Path.cwd().glob("*layers*"))  # what was fetched is not left about


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"layers"'])
def test_layers_that_can_not_be_read_are_none(client: MlflowClient, text: str) -> None:
    run = run_with(client, layers__json=text, picture__png="bytes")
    assert read_kept(client, {1: run}, frozenset({1})) == {1: Kept((), b"bytes")}


def test_artifacts_out_of_reach_are_none(client: MlflowClient) -> None:
    run = run_with(client, layers__json=json.dumps({"layers": LAYERS}))
    folder = Path(client.get_run(run).info.artifact_uri.removeprefix("file://"))
    folder.rename(folder.with_name("elsewhere"))
    assert read_kept(client, {1: run, 2: "0" * 32}) == {1: Kept(), 2: Kept()}


def test_several_members_are_asked_for_at_once(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {trial: run_with(client) for trial in range(2 * kept._AT_ONCE)}
    together = threading.Barrier(kept._AT_ONCE, timeout=30)  # breaks unless so many wait at the same time
    get = client.get_run

    def get_run(run: str) -> Run:
        together.wait()
        return get(run)

    monkeypatch.setattr(client, "get_run", get_run)
    assert list(read_kept(client, runs)) == list(runs)
