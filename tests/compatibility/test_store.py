"""Searches that an earlier version stored are read, compared, confirmed, exported and imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

import spikefront
from spikefront.commands.app import load_commands
from spikefront.plugins.tasks.digits import Digits

HERE = Path(__file__).parent


def printed_front(uri: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    arguments = ["pareto", "--search", "before", "--format", "json", "--tracking-uri", uri]
    load_commands()(arguments, standalone_mode=False)
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    for row in rows:  # columns added since, which are empty for a search of before
        assert [row.pop(name) for name in ("cut", "energy_se_nj", "same_energy_as")] == [0, None, ""]
    return rows


def known_front(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "before.json").read_text(encoding="utf-8"))
    return rows


def metrics_with_times(uri: str) -> dict[tuple[str, str], list[tuple[int, float, int]]]:
    """Return every point of every metric of the search's runs, with its time, by run and metric."""
    client = MlflowClient(uri)
    return {
        (run.info.run_id, name): sorted(
            (point.step, point.value, point.timestamp) for point in client.get_metric_history(run.info.run_id, name)
        )
        for run in client.search_runs(["0"], "tags.search = 'before'")
        for name in run.data.metrics
    }


def test_the_front_is_printed_as_it_was(stored: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_front(stored.uri, capsys) == known_front(stored.folder)


def test_energies_under_other_models_are_not_guessed_from_what_was_stored(stored: Any) -> None:
    rows = spikefront.pareto("before", stable=True, tracking_uri=stored.uri)

    assert set(rows["on_horowitz-45nm"]) == {"yes"}
    assert set(rows["on_lemaire-45nm"]) == {"not known: no geometry stored"}
    assert all(place.startswith("not known: ") for place in rows["on_loihi-1"])
    assert rows[["lemaire-45nm_nj", "loihi-1_nj"]].isna().all(axis=None)
    assert (rows["horowitz-45nm_nj"] == rows["energy_nj"]).all()


def test_a_search_is_loaded_with_all_its_trials(stored: Any) -> None:
    search = spikefront.load_search("before", tracking_uri=stored.uri)
    rows = {row["trial"]: row for row in known_front(stored.folder)}

    assert sorted(search.trials) == [0, 1, 2]
    for number, trial in search.trials.items():
        assert trial.state == "COMPLETE"
        assert trial.run_id == rows[number]["run_id"]
        assert {name: trial.metrics[name] for name in ("quality", "energy_nj")} == {
            name: rows[number][name] for name in ("quality", "energy_nj")
        }
    assert [name.name for name in search.objectives] == ["quality", "energy", "latency"]
    assert set(search.front()["trial"]) == set(rows)
    assert 0 < search.hypervolume < 1


def test_the_newest_search_is_the_one_that_was_killed(stored: Any) -> None:
    search = spikefront.load_search(tracking_uri=stored.uri)

    assert search.name == "killed"
    assert {number: trial.state for number, trial in search.trials.items()} == {0: "COMPLETE", 1: "RUNNING"}


def test_a_report_is_written(stored: Any) -> None:
    page = spikefront.report("before", tracking_uri=stored.uri).read_text(encoding="utf-8")

    assert page.startswith("<!doctype html>")
    for coding in ("direct", "latency", "css"):
        assert coding in page
    assert "confirm" in page


def test_searches_are_compared(stored: Any) -> None:
    frame = spikefront.compare(["before", "killed"], tracking_uri=stored.uri).frame

    assert isinstance(frame, pd.DataFrame)
    assert {"measure", "before", "killed"} <= set(frame.columns)


def test_what_was_confirmed_is_not_trained_again(stored: Any) -> None:
    before = metrics_with_times(stored.uri)

    rows = spikefront.confirm(
        "before", seeds=2, workers=1, tracking_uri=stored.uri, folder=stored.folder / "searches"
    ).frame

    assert set(rows["trial"]) == {0, 1, 2}
    assert (rows["seeds"] == 2).all()
    client = MlflowClient(stored.uri)
    for trial, mean in zip(rows["trial"], rows["test"], strict=True):
        run_id = next(row["run_id"] for row in known_front(stored.folder) if row["trial"] == trial)
        assert mean == client.get_run(run_id).data.metrics["confirmed.quality"]
    after = metrics_with_times(stored.uri)
    trained = [key for key in before if key[1].startswith("test.")]
    assert trained
    assert {key: after[key] for key in trained} == {key: before[key] for key in trained}


def test_twins_are_not_trained_again(stored: Any) -> None:
    before = metrics_with_times(stored.uri)

    rows = spikefront.twin("before", tracking_uri=stored.uri, folder=stored.folder / "searches").frame

    assert set(rows["trial"]) == {0, 1, 2}
    assert not (stored.folder / "searches" / "before" / "anns").exists()
    after = metrics_with_times(stored.uri)
    compared = [key for key in before if "twin" in key[1] or "ann" in key[1]]
    assert compared
    assert {key: after[key] for key in compared} == {key: before[key] for key in compared}


def test_a_member_is_exported_and_predicts_as_it_was_evaluated(stored: Any) -> None:
    best = max(known_front(stored.folder), key=lambda row: float(row["quality"]))
    search = spikefront.load_search("before", tracking_uri=stored.uri)
    data = Digits().search_data(None, 1).validation

    model = search.export(best["trial"], stored.folder / "net.pt")
    again = spikefront.load(stored.folder / "net.pt")

    predicted = again.predict(data.inputs)
    assert torch.equal(model.predict(data.inputs), predicted)
    assert float((predicted == data.targets).double().mean()) == best["quality"]


def test_an_archive_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str], stored: Any) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    load_commands()(["results", "import", str(HERE / "before.zip"), "--tracking-uri", uri], standalone_mode=False)
    assert capsys.readouterr().out == "before: 3 trials imported\n"

    rows, known = printed_front(uri, capsys), known_front(stored.folder)
    assert len({row.pop("run_id") for row in rows} | {row.pop("run_id") for row in known}) == 6
    assert rows == known
    assert set(spikefront.load_search("before", tracking_uri=uri).trials) == {0, 1, 2}
