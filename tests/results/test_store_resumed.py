"""MLflow after the driver died: each trial that ended is there once, as the journal has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.entities import Run

from spikefront.results.live import LiveView
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import Candidate, SearchInfo, Trial

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]

pytestmark = pytest.mark.usefixtures("database")


def metrics(quality: float, energy: float) -> dict[str, float]:
    return {"quality": quality, "energy_nj": energy}


def ended(number: int, candidate: Candidate, quality: float, energy: float) -> Trial:
    return Trial(number, "COMPLETE", candidate.flat(), metrics(quality, energy), epoch=2)


def first_driver(search: SearchInfo, candidate: Candidate) -> None:
    """Write two whole trials and the start of a third, then vanish: the search has no end."""
    recorder = MlflowRecorder(Store())
    recorder.search_started(search)
    for number, (quality, energy) in enumerate([(0.9, 500.0), (0.8, 100.0)]):
        recorder.trial_started(number, candidate)
        recorder.epoch_ended(number, 2, metrics(quality, energy))
        recorder.trial_ended(number, "COMPLETE", "", metrics(quality, energy), None)
    recorder.trial_started(2, candidate)
    recorder.epoch_ended(2, 1, metrics(0.3, 50.0))
    recorder._writer.close()  # what was queued is written; what follows a kill is not


def runs() -> dict[int | None, Run]:
    found = Store().client.search_runs(["0"], order_by=["attributes.start_time ASC"])
    by_number = {int(run.data.tags["trial.number"]) if "trial.number" in run.data.tags else None: run for run in found}
    assert len(by_number) == len(found), "no trial has two runs"
    return by_number


def resume(search: SearchInfo, *earlier: Trial) -> MlflowRecorder:
    recorder = MlflowRecorder(Store())
    recorder.search_started(replace(search, earlier=earlier))
    return recorder


def test_missing_and_half_written_trials_are_caught_up(search: Search, candidate: Make) -> None:
    info = search()
    first_driver(info, candidate())
    whole = [ended(0, candidate(), 0.9, 500.0), ended(1, candidate(), 0.8, 100.0)]
    lost = [ended(2, candidate(), 0.7, 50.0), ended(3, candidate("sac"), 0.95, 400.0)]
    died = Trial(4, "FAIL", reason="the driver died; judged again under another number", again=True)
    recorder = resume(info, *whole, *lost, died)
    recorder.trial_started(5, candidate(), retry_of=4)
    recorder.trial_ended(5, "COMPLETE", "", metrics(0.75, 60.0), None)
    recorder.search_ended("all trials done")

    found = runs()
    assert sorted(number for number in found if number is not None) == [0, 1, 2, 3, 4, 5]
    states = {number: run.data.tags["trial.state"] for number, run in found.items() if number is not None}
    assert states == {0: "COMPLETE", 1: "COMPLETE", 2: "COMPLETE", 3: "COMPLETE", 4: "FAIL", 5: "COMPLETE"}
    assert all(run.info.status == ("FAILED" if number == 4 else "FINISHED") for number, run in found.items())
    assert {n: run.data.tags.get("trial.retry_of") for n, run in found.items() if n in (3, 5)} == {3: None, 5: "4"}
    assert found[3].data.params["coding"] == "sac"
    assert found[3].data.metrics == {"quality": 0.95, "accuracy": 0.95, "energy_nj": 400.0}
    assert found[2].data.metrics["quality"] == 0.7
    assert found[4].data.tags["trial.reason"] == died.reason
    front = {number for number, run in found.items() if run.data.tags.get("pareto") == "true"}
    assert front == {1, 2, 3, 5}  # trial 3 beats trial 0, which the first driver had on the front
    assert found[0].data.tags["pareto.rank"] == "1"


def test_resuming_again_changes_nothing(search: Search, candidate: Make) -> None:
    info = search()
    first_driver(info, candidate())
    earlier = [ended(0, candidate(), 0.9, 500.0), ended(1, candidate(), 0.8, 100.0), ended(2, candidate(), 0.7, 50.0)]
    for _ in range(2):
        resume(info, *earlier).search_ended("all trials done")
    found = runs()
    assert len(found) == 4
    assert {run.data.tags["pareto"] for number, run in found.items() if number is not None} == {"true"}


def test_members_that_an_earlier_driver_judged_keep_their_weights(
    search: Search, candidate: Make, tmp_path: Path
) -> None:
    info = search()
    first_driver(info, candidate())
    earlier = []
    for number, (quality, energy) in enumerate([(0.9, 500.0), (0.8, 100.0), (0.95, 400.0)]):
        path = tmp_path / f"trial-{number:05d}.pt"
        path.write_bytes(f"weights of {number}".encode())
        path.with_suffix(".layers.json").write_text('{"layers": []}')
        earlier.append(replace(ended(number, candidate(), quality, energy), weights=path))
    resume(info, *earlier).search_ended("all trials done")
    client = Store().client
    kept = {
        number: {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
        for number, run in runs().items()
        if number is not None
    }
    assert kept == {  # trial 2, which the first driver could not record, beats trial 0
        0: set(),
        1: {"candidate.json", "trial-00001.pt", "layers.json"},
        2: {"candidate.json", "trial-00002.pt", "layers.json"},
    }


def test_trial_that_was_killed_between_its_tags_and_its_status_is_closed(search: Search, candidate: Make) -> None:
    info = search()
    first_driver(info, candidate())
    whole = runs()
    Store().client.update_run(whole[1].info.run_id, status="RUNNING")
    Store().client.update_run(whole[0].info.run_id, status="RUNNING")
    earlier = [ended(0, candidate(), 0.9, 500.0), ended(1, candidate(), 0.8, 100.0)]
    stopped = Trial(2, "PRUNED", candidate().flat(), metrics(0.3, 50.0), "behind", epoch=1)
    resume(info, *earlier, stopped).search_ended("all trials done")
    statuses = {number: run.info.status for number, run in runs().items()}
    assert statuses == {None: "FINISHED", 0: "FINISHED", 1: "FINISHED", 2: "KILLED"}


def test_second_run_of_a_trial_is_deleted(search: Search, candidate: Make) -> None:
    info = search()
    first_driver(info, candidate())
    tags = runs()[1].data.tags
    Store().client.create_run("0", tags={name: tags[name] for name in ("search", "trial.number", "mlflow.parentRunId")})
    resume(info, ended(0, candidate(), 0.9, 500.0), ended(1, candidate(), 0.8, 100.0)).search_ended("all trials done")
    assert runs()[1].data.metrics["quality"] == 0.8


def test_search_that_mlflow_has_never_seen_is_written_whole(search: Search, candidate: Make) -> None:
    resume(search(), ended(0, candidate(), 0.9, 500.0)).search_ended("all trials done")
    found = runs()
    assert found[0].data.params["coding"] == "direct"
    assert found[None].data.params["seed"] == "3"


def test_display_counts_what_ended_before(search: Search, candidate: Make, capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView()
    again = Trial(1, "FAIL", reason="the driver died", again=True)
    view.search_started(replace(search(), earlier=(ended(0, candidate(), 0.9, 500.0), again)))
    said = capsys.readouterr().err
    assert said.startswith(
        "search digits-1 on digits resumed: 1 of 10 trials done; best accuracy 0.9000, 1 on the front"
    )


def searches() -> list[Run]:
    return list(Store().client.search_runs(["0"], "tags.`spikefront.role` = 'search'"))


def test_runs_of_another_search_of_the_same_name_are_left_alone(search: Search, candidate: Make) -> None:
    first_driver(replace(search(), id="a" * 32), candidate())
    before = {run.info.run_id: (run.data, run.info.status) for run in Store().client.search_runs(["0"])}
    mine = replace(search(), id="b" * 32)
    resume(mine, ended(0, candidate("sac"), 0.4, 70.0)).search_ended("all trials done")
    after = {run.info.run_id: run for run in Store().client.search_runs(["0"])}
    for run_id, (data, status) in before.items():
        assert (after[run_id].data.tags, after[run_id].data.metrics) == (data.tags, data.metrics)
        assert after[run_id].info.status == status
    assert {run.data.tags["search.id"] for run in searches()} == {"a" * 32, "b" * 32}
    assert len(after) == len(before) + 2


def test_runs_are_adopted_by_the_id_and_renamed_with_the_search(search: Search, candidate: Make) -> None:
    first_driver(replace(search(), id="a" * 32), candidate())
    whole = [ended(0, candidate(), 0.9, 500.0), ended(1, candidate(), 0.8, 100.0), ended(2, candidate(), 0.7, 50.0)]
    resume(replace(search(), id="a" * 32, name="moved"), *whole).search_ended("all trials done")
    assert {run.data.tags["search"] for run in runs().values()} == {"moved"}
    assert len(runs()) == 4


@pytest.mark.parametrize("same", [True, False])
def test_runs_without_an_id_are_adopted_only_if_their_trials_are_those_of_the_journal(
    search: Search, candidate: Make, same: bool
) -> None:
    first_driver(search(), candidate())
    quality = 0.9 if same else 0.91
    whole = [ended(0, candidate(), quality, 500.0), ended(1, candidate(), 0.8, 100.0), ended(2, candidate(), 0.7, 50.0)]
    resume(replace(search(), id="b" * 32), *whole).search_ended("all trials done")
    assert {run.data.tags.get("search.id") for run in searches()} == ({"b" * 32} if same else {"b" * 32, None})
    assert len(searches()) == (1 if same else 2)
