"""A store that holds damaged runs, or those of other programs: they are left out with a line, the others are shown."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from spikefront.results.named_trials import fetch_member
from spikefront.results.queries import pareto
from spikefront.results.report import write_report
from spikefront.results.searches import StoredSearch
from spikefront.results.store import schema
from spikefront.results.store.connection import Store
from spikefront.results.store.documents import checked, layers_of
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import Candidate, SearchInfo, UsageError


@pytest.fixture
def client(search: Callable[..., SearchInfo], candidate: Callable[..., Candidate], database: None) -> MlflowClient:
    """Write a search of two members."""
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("good"))
    for number in (0, 1):
        recorder.trial_started(number, candidate())
        recorder.trial_ended(number, "COMPLETE", "", {"quality": 0.5 + number / 4, "energy_nj": 10.0**number}, None)
    recorder.search_ended("done")
    return Store().client


ODD: list[Any] = [None, [], "x", {"quality": None}, {"quality": {}}, -1]


def trial_run(client: MlflowClient, number: int) -> str:
    return str(client.search_runs(["0"], f"tags.`{schema.NUMBER}` = '{number}'")[0].info.run_id)


def test_broken_searches_are_left_out_in_one_line(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    role = {schema.ROLE: "search"}
    client.create_run("0", tags=role, start_time=1 << 48)
    client.create_run("0", tags=role | {schema.SEARCH: "odd\x1b[31m"}, start_time=1 << 46)
    client.set_tag(client.search_runs(["0"], "tags.search LIKE 'odd%'")[0].info.run_id, schema.OBJECTIVES, "[{]")
    client.create_run("0", tags=role | {schema.SEARCH: "good", schema.OBJECTIVES: "{}"}, start_time=1 << 47)
    for name in (None, "good"):
        assert list(pareto(Store(), name)["trial"]) == [0, 1]
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("spikefront: warning: left out: search ")
        assert line.isprintable()
        assert ("(and 2 more)" in line) == (name is None)
    with pytest.raises(UsageError, match=r"is damaged, or of another program: search\.objectives '\[\{\]'"):
        pareto(Store(), "odd\x1b[31m")


def test_broken_trials_are_left_out_in_one_line(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    parent = StoredSearch.open(Store(), "good").run_id
    of = {schema.PARENT: parent, schema.PARETO: schema.TRUE}
    client.create_run("0", tags=of)  # of the user's own
    client.create_run("0", tags=of | {schema.NUMBER: "two"})
    client.create_run("0", tags=of | {schema.NUMBER: "3", schema.RETRY_OF: "nan"})
    assert list(pareto(Store())["trial"]) == [0, 1]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("spikefront: warning: of search 'good' left out: run ")
    assert line.endswith("(and 2 more)")
    assert [trial.number for trial in StoredSearch.open(Store()).trials] == [0, 1]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("(and 1 more)")
    with sqlite3.connect("mlflow.db") as connection:  # a trial whose metric is no number
        connection.execute("UPDATE latest_metrics SET value = 'x' WHERE key = 'quality' AND value = 0.5")
    assert [trial.number for trial in StoredSearch.open(Store()).front.members] == [1]


def test_damaged_files_of_a_search_count_as_missing(client: MlflowClient, tmp_path: Path) -> None:
    found = StoredSearch.open(Store())
    assert [trial.number for trial in found.members] == [0, 1]
    for text in ("", "{", "[]", '{"front": [{}]}', "[" * 5000, '{"front": {}}', "\ud800"):
        for name in (
            schema.FRONT_FILE,
            schema.CONFIRMED_FILE,
            schema.TWINS_FILE,
            schema.ENVIRONMENT_FILE,
            schema.POINTS_FILE,
        ):
            client.log_dict(found.run_id, {}, name)
            (Path(client.download_artifacts(found.run_id, name))).write_bytes(text.encode(errors="surrogatepass"))
        with pytest.raises(UsageError, match=r"search 'good' has left no front\.json"):
            _ = StoredSearch.open(Store()).members
    write_report(Store(), "good", tmp_path / "report.html")
    assert "Search good" in (tmp_path / "report.html").read_text()


def test_members_whose_runs_are_damaged_are_refused_in_one_line(client: MlflowClient, tmp_path: Path) -> None:
    run = trial_run(client, 0)
    client.log_text(run, "[]", schema.CANDIDATE_FILE)
    with pytest.raises(UsageError, match=r"its candidate\.json is damaged"):
        fetch_member(Store(), "good/0", tmp_path)
    with pytest.raises(UsageError, match="names no trial"):
        fetch_member(Store(), f"good/{'9' * 5000}", tmp_path)
    client.set_tag(run, schema.PARENT, "f" * 32)
    with pytest.raises(UsageError, match=f"the search of run {run} is not in"):
        fetch_member(Store(), run, tmp_path)
    client.set_tag(run, schema.NUMBER, "x")
    client.set_tag(run, schema.PARENT, StoredSearch.open(Store()).run_id)
    with pytest.raises(UsageError, match=r"trial\.number 'x' is not the number of a trial"):
        fetch_member(Store(), run, tmp_path)


def test_documents_are_those_that_are_written() -> None:
    measured = {"quality": 0.5, "energy_nj": 3.0}
    member: dict[str, Any] = {"trial": 3, "candidate": {"coding": "sac"}}
    whole: dict[str, dict[str, Any]] = {
        schema.FRONT_FILE: {**member, "run_id": None, "metrics": measured},
        schema.CONFIRMED_FILE: {**member, "selected": measured, "stays": False, "beaten_by": 1,
                                "test": {"quality": {"quality": 0.5, "quality_sd": 0.1}}},
        schema.TWINS_FILE: {**member, "metrics": measured, "verdict": "loses", "ann": measured,
                            "quantised": {**measured, "bits": 2.0}},
    }  # fmt: skip
    for name, one in whole.items():
        listed = "front" if name == schema.FRONT_FILE else "members"
        assert checked(name, {listed: [one]}) == {listed: [one]}
        for key in one.keys() - {"beaten_by", "ann"}:
            for value in ODD:
                if (key, value) in (("run_id", None), ("run_id", "x"), ("verdict", "x")):
                    continue
                assert checked(name, {listed: [{**one, key: value}]}) == {}, (name, key, value)
    decided = {**whole[schema.CONFIRMED_FILE], "verdict": "undecided", "probability": 0.5, "p": None, "rival": 1}
    compared = {**whole[schema.TWINS_FILE], "member": measured}
    for name, one in ((schema.CONFIRMED_FILE, decided), (schema.TWINS_FILE, compared)):
        assert checked(name, {"members": [one]}) == {"members": [one]}
        for key in one.keys() & {"verdict", "probability", "p", "rival", "member"}:
            for value in ODD:
                allowed = key in ("probability", "p", "rival") and value in ((None,) if key == "rival" else (None, -1))
                if not allowed and (name, key) != (schema.TWINS_FILE, "verdict"):
                    assert checked(name, {"members": [{**one, key: value}]}) == {}, (name, key, value)
    selection = {"members": 2, "flatters": 0.1, "more_data": 0.2}
    assert checked(schema.CONFIRMED_FILE, {"members": [], "selection": selection}) != {}
    damaged: list[Any] = ["x", [], {}, {**selection, "members": 0.5}, {**selection, "flatters": "x"}, {"members": 2}]
    for value in damaged:
        assert checked(schema.CONFIRMED_FILE, {"members": [], "selection": value}) == {}
    layer = {"layer": "a", "role": "synapse", "sops": 1, "macs": 0, "adds": 0, "multiplies": 0, "events": 1.0,
             "sites": 2.0, "energy_nj": 0.1, "silent_nj": 0.0}  # fmt: skip
    assert len(layers_of(json.loads(json.dumps({"layers": [layer]})))) == 1
    broken: list[Any] = [[{**layer, "sops": "x"}], [{"layer": "a"}], None]
    for odd in (*ODD, *({"layers": layers} for layers in broken)):
        assert layers_of(odd) == []
