"""Points of trials in MLflow: each that is or was on the front is a run of its own, and found with MLflow alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from spikefront.plugins import Counts, LayerCount, load_registry
from spikefront.results.confirmations import Confirmations
from spikefront.results.findings import read_findings
from spikefront.results.named_trials import fetch_member, fetch_trial
from spikefront.results.queries import pareto
from spikefront.results.report.page import report_page
from spikefront.results.searches import StoredSearch
from spikefront.results.stability import stability
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.transfer import export_search, import_search
from spikefront.runners.judging.layers import counts_json
from spikefront.searchspace import Candidate, SearchInfo, Trial, UsageError
from spikefront.searchspace.records import Repeat

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]

pytestmark = pytest.mark.usefixtures("database")

WHOLE = {0: (0.9, 800.0), 1: (0.6, 900.0), 2: (0.95, 400.0)}
POINTS = {0: {2: (0.7, 200.0), 4: (0.3, 450.0)}, 1: {1: (0.5, 90.0)}, 2: {4: (0.92, 210.0)}}
"""Of which 0@2, 1@1, 2@4 and 2 are on the front in the end, 0 was on it before, and 0@4 and 1 never were."""


def at(quality: float, energy: float) -> dict[str, float]:
    return {"quality": quality, "energy_nj": energy, "latency_steps": 8.0}


def ended(number: int, candidate: Candidate, weights: Path | None = None) -> Trial:
    """Return a trial as the journal has it."""
    trial = Trial(number, "COMPLETE", candidate.flat(), at(*WHOLE[number]), epoch=2, weights=weights)
    return trial.with_points({cut: at(*point) for cut, point in POINTS[number].items()})


def evaluate(recorder: MlflowRecorder, candidate: Candidate, number: int, weights: Path | None = None) -> None:
    recorder.trial_started(number, candidate)
    recorder.epoch_ended(number, 2, at(*WHOLE[number]))
    recorder.points_measured(number, {cut: at(*point) for cut, point in POINTS[number].items()})
    recorder.trial_ended(number, "COMPLETE", "", at(*WHOLE[number]), weights)


def runs(uri: str | None = None) -> dict[str, Run]:
    """Return the runs of trials and points by name, as their tags have it."""
    found: dict[str, Run] = {}
    for run in MlflowClient(uri or Store().uri).search_runs(["0"]):
        tags = run.data.tags
        if tags["spikefront.role"] != "search":
            is_point = tags["spikefront.role"] == "point"
            name = f"{tags['point.trial']}@{tags['point.cut']}" if is_point else tags["trial.number"]
            assert name not in found
            found[name] = run
    return found


@pytest.fixture
def written(search: Search, candidate: Make, tmp_path: Path) -> SearchInfo:
    """Write a search of three trials with points; trials 0 and 2 left weights."""
    info = search()
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    for number in WHOLE:
        weights = tmp_path / f"trial-{number:05d}.pt"
        weights.write_bytes(b"weights")
        weights.with_name(f"trial-{number:05d}@2.layers.json").write_text('{"layers": []}')
        evaluate(recorder, candidate(steps=8), number, None if number == 1 else weights)
    recorder.search_ended("all trials done")
    assert recorder.missing == ()
    return info


@pytest.mark.usefixtures("written")
def test_points_on_the_front_are_found_with_mlflow_alone() -> None:
    query = "tags.pareto = 'true' and metrics.energy_nj < 300"
    frame = mlflow.search_runs(filter_string=query, order_by=["metrics.quality DESC"])
    assert list(frame["metrics.accuracy"]) == [0.92, 0.7, 0.5]
    assert list(frame["params.cut"]) == ["4", "2", "1"]
    assert list(frame["tags.point.trial"]) == ["2", "0", "1"]
    assert set(frame["params.steps"]) == {"8"}
    assert len(mlflow.search_runs(filter_string="tags.pareto = 'true'", output_format="list")) == 4


@pytest.mark.usefixtures("written")
def test_a_point_says_which_trial_has_its_weights() -> None:
    found = runs()
    assert found.keys() == {"0", "1", "2", "0@2", "1@1", "2@4"}  # 0@4 was never on the front
    for name in ("0@2", "1@1", "2@4"):
        run, trial = found[name], found[name.partition("@")[0]]
        assert run.data.tags["point.run_id"] == trial.info.run_id
        assert run.data.tags["mlflow.parentRunId"] == trial.data.tags["mlflow.parentRunId"]
        assert run.data.tags["plugin.coding"] == "direct 0.1.0"
        assert "trial.number" not in run.data.tags
        assert run.info.status == "FINISHED"
        assert run.data.params == {**trial.data.params, "cut": name.partition("@")[2]}
    client = MlflowClient(Store().uri)
    files = {name: {entry.path for entry in client.list_artifacts(run.info.run_id)} for name, run in found.items()}
    assert files["2"] == {"candidate.json", "trial-00002.pt"}
    assert files["0"] == {"trial-00000.pt"}  # its point is on the front
    assert files["1"] == set()
    assert files["0@2"] == {"candidate.json", "layers.json"}
    assert files["2@4"] == files["1@1"] == {"candidate.json"}


def test_a_point_that_is_beaten_leaves_the_front(search: Search, candidate: Make) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    evaluate(recorder, candidate(steps=8), 0)
    recorder.trial_started(1, candidate())
    recorder.trial_ended(1, "COMPLETE", "", at(0.75, 150.0), None)
    recorder.search_ended("all trials done")
    found = runs()
    assert found.keys() == {"0", "0@2", "1"}
    assert (found["0@2"].data.tags["pareto"], found["0@2"].data.tags["pareto.rank"]) == ("false", "1")
    assert found["0"].data.tags["pareto"] == found["1"].data.tags["pareto"] == "true"


def test_points_of_an_earlier_driver_are_written_once(search: Search, candidate: Make) -> None:
    info, flat = search(), candidate(steps=8)
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    evaluate(recorder, flat, 0)
    recorder.trial_started(1, flat)
    recorder._writer.close()  # killed: trials 1 and 2 ended in the journal alone
    assert runs().keys() == {"0", "0@2", "1"}
    before = runs()["0@2"].info.run_id
    for _ in range(2):
        again = MlflowRecorder(Store())
        again.search_started(replace(info, earlier=tuple(ended(number, flat) for number in WHOLE)))
        again.search_ended("all trials done")
        assert again.missing == ()
        found = runs()
        assert found.keys() == {"0", "1", "2", "0@2", "1@1", "2@4"}
        assert found["0@2"].info.run_id == before
        on = {name for name, run in found.items() if run.data.tags["pareto"] == "true"}
        assert on == {"2", "0@2", "1@1", "2@4"}
        assert found["0"].data.tags["pareto.rank"] == "1"


def test_a_point_whose_run_was_cut_off_is_written_whole(search: Search, candidate: Make) -> None:
    info, flat = search(), candidate(steps=8)
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    evaluate(recorder, flat, 0)
    recorder._writer.close()
    client, run = MlflowClient(Store().uri), runs()["0@2"].info.run_id
    for tag in ("pareto", "pareto.rank"):  # as if the driver had died before it wrote these, its last
        client.delete_tag(run, tag)
    again = MlflowRecorder(Store())
    again.search_started(replace(info, earlier=(ended(0, flat),)))
    again.search_ended("all trials done")
    found = runs()["0@2"]
    assert found.info.run_id == run
    assert (found.data.tags["pareto"], found.data.tags["pareto.rank"]) == ("true", "0")


@pytest.mark.parametrize("by_client", [False, True])
@pytest.mark.usefixtures("written")
def test_trials_are_read_with_their_points(by_client: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_client:
        monkeypatch.setattr(Store, "file", None)  # as if it were a server
    found = StoredSearch.open(Store())
    assert [trial.name for trial in found.trials] == ["0", "1", "2"]
    assert [[point.name for point in trial.points] for trial in found.trials] == [["0@2", "0@4"], ["1@1"], ["2@4"]]
    point, never = found.trials[0].points
    assert point.run_id == runs()["0@2"].info.run_id
    assert (point.metrics["quality"], point.metrics["energy_nj"]) == (0.7, 200.0)
    assert (never.run_id, never.metrics) == ("", at(0.3, 450.0))  # of points.json
    assert never.candidate == {**found.trials[0].candidate, "cut": 4}
    assert [one.name for one in found.front.members] == ["1@1", "0@2", "2@4", "2"]
    assert len(found.front.curve) == 3
    assert [(one.name, one.candidate["cut"]) for one in found.members if one.cut] == [
        ("1@1", 1),
        ("0@2", 2),
        ("2@4", 4),
    ]


@pytest.mark.usefixtures("written")
def test_the_table_of_the_front_names_points() -> None:
    frame = pareto(Store())
    assert list(frame["trial"]) == ["1@1", "0@2", "2@4", 2]
    assert list(frame["cut"]) == [1, 2, 4, 0]
    assert set(frame["steps"]) == {8}
    assert list(frame["run_id"]) == [runs()[str(name)].info.run_id for name in frame["trial"]]
    assert list(pareto(Store(), max_energy_nj=300.0, knee=True)["trial"]) == [
        "2@4"
    ]  # 0@2 lies below the line of both ends
    assert list(pareto(Store(), per_coding=True)["trial"]) == ["1@1", "0@2", "2@4", 2]


@pytest.mark.usefixtures("written")
def test_a_search_moves_with_its_points(tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    assert export_search(Store(), "digits-1", "moved.zip") == 3  # points are no trials
    assert import_search(Store(other), "moved.zip") == ("digits-1", 3)
    found = runs(other)
    assert found.keys() == runs().keys()
    assert found["0@2"].data.tags["point.run_id"] == found["0"].info.run_id
    front = {run_id for member in _front(other) for run_id in [member["run_id"]]}
    assert front == {found[name].info.run_id for name in ("1@1", "0@2", "2@4", "2")}
    assert [one.name for one in StoredSearch.open(Store(other)).front.members] == ["1@1", "0@2", "2@4", "2"]


def _front(uri: str) -> list[dict[str, str]]:
    search = StoredSearch.open(Store(uri))
    path = search.store.client.download_artifacts(search.run_id, "front.json")
    members: list[dict[str, str]] = json.loads(Path(path).read_text())["front"]
    return members


@pytest.mark.usefixtures("written")
def test_a_point_is_fetched_with_the_weights_of_its_trial(candidate: Make, tmp_path: Path) -> None:
    for run in ("digits-1/0@2", runs()["0@2"].info.run_id):
        member = fetch_member(Store(), run, tmp_path)
        assert (member.trial.name, member.trial.run_id) == ("0@2", runs()["0@2"].info.run_id)
        assert member.trial.candidate == {**candidate(steps=8).flat(), "cut": 2}
        assert (member.trial.metrics["quality"], member.trial.metrics["energy_nj"]) == (0.7, 200.0)
        assert member.weights.name == "trial-00000.pt"
    whole = fetch_member(Store(), "digits-1/0", tmp_path)  # not on the front itself
    assert (whole.trial.name, whole.weights.name) == ("0", "trial-00000.pt")
    assert whole.trial.candidate == candidate(steps=8).flat()
    search, point = fetch_trial(Store(), "digits-1/0@4")  # never on the front
    assert (search.name, point.name, point.metrics, point.candidate["cut"]) == ("digits-1", "0@4", at(0.3, 450.0), 4)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("0@9", "no point 0@9 of search 'digits-1': trial 0 can be cut at 2, 4"),
        ("0@4", "digits-1/0@4 is not on a front: trial 0 was measured at 4 steps, where others are better; members"),
        ("9@2", "no trial 9 of search 'digits-1'"),
    ],
)
@pytest.mark.usefixtures("written")
def test_a_point_that_is_no_member_is_refused_with_those_that_there_are(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(reason)}"):
        fetch_member(Store(), f"digits-1/{name}", tmp_path)
    with pytest.raises(UsageError, match=f"^{re.escape(reason)}"):
        StoredSearch.open(Store()).member(name, tmp_path)


@pytest.mark.usefixtures("written")
def test_repeats_of_points_and_of_their_trial_are_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    known = Confirmations(Store())
    names = ["1@1", "0@2", "2@4", "2"]
    assert known.missing([1, 2]) == [(name, seed) for seed in (1, 2) for name in names]
    take = known.record(8)
    for row, name in enumerate(names):
        for seed in (1, 2):
            take(Repeat(name, seed, at(0.5 + 0.1 * row + 0.001 * seed, 90.0 + 100.0 * row)))
    assert "[3/8] trial 0@2, seed 1: quality 0.6010, energy 190 nJ" in capsys.readouterr().err
    frame, _ = known.conclude([1, 2])
    assert list(frame["trial"]) == ["1@1", "0@2", "2@4", 2]
    assert list(frame["rival"]) == ["", "1@1", "0@2", "2@4"]
    assert runs()["0@2"].data.metrics["test.quality"] == 0.602
    document = StoredSearch.open(Store()).artifact("confirmed.json")
    assert [(one["trial"], one["rival"]) for one in document["members"]] == [
        ("1@1", None),
        ("0@2", "1@1"),
        ("2@4", "0@2"),
        (2, "2@4"),
    ]
    page = report_page(read_findings(StoredSearch.open(Store())))
    assert "3 trials were judged at full budget; the front has 4 members, 3 of which are points" in page
    assert "2 of 8" in page
    assert 'data-trial="0@2"' in page


def test_points_that_are_on_the_front_are_priced_by_other_models_too(search: Search, candidate: Make) -> None:
    info = replace(search(), options={"energy_model": "loihi"})
    (info.folder / "counts").mkdir()
    for name, sops in {"0": 900, "0@2": 100, "0@4": 500}.items():
        number, _, cut = name.partition("@")
        counted = counts_json(Counts(1, int(cut or 8), (LayerCount("a", "synapse", sops=sops),)))
        (info.folder / "counts" / f"trial-{int(number):05d}{cut and f'@{cut}'}.json").write_text(counted)
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    evaluate(recorder, candidate(steps=8), 0)
    recorder.search_ended("all trials done")
    found = StoredSearch.open(Store())
    assert found.counts.keys() == {"0", "0@2"}  # 0@4 was never on the front
    stable = stability(found, load_registry(third_parties=False))
    fronts = {front.model: front for front in stable.fronts}
    assert fronts["loihi"].members == {"0", "0@2"}
    priced = fronts["horowitz-45nm"]
    assert priced.energies == {"0": pytest.approx(900 * 0.0009), "0@2": pytest.approx(100 * 0.0009)}  # 0.9 pJ each
    assert (priced.place("0@2"), priced.place("0@4")) == ("yes", "not known: no counts stored")
    frame = stable.frame(stable.members)
    assert list(frame["trial"]) == ["0@2", 0]
    assert list(frame["cut"]) == [2, 0]
