from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spikefront.commands.printing import print_table
from spikefront.results.compare import compare
from spikefront.results.findings import read_findings
from spikefront.results.named_trials import fetch_member, find_run
from spikefront.results.queries import pareto
from spikefront.results.report.page import report_page
from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import Candidate, SearchInfo, Trial, UnknownName, UsageError, Value
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL, EARLIER_ENERGY
from spikefront.searchspace.records import Spread

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def front(search: Search, candidate: Make, tmp_path: Path) -> SearchInfo:
    """Leave a search of three trials in MLflow: 0 and 2 on its front, 1 behind, 2 without weights."""
    info = search()
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    weights = tmp_path / "trial-00000.pt"
    weights.write_bytes(b"weights")
    measured = {0: (0.9, 10.0), 1: (0.8, 20.0), 2: (0.95, 30.0)}
    for number, (quality, energy) in measured.items():
        metrics = {"quality": quality, "energy_nj": energy, "sac.gain": 0.5}
        recorder.trial_started(number, candidate())
        recorder.epoch_ended(number, 1, metrics)
        recorder.trial_ended(number, "COMPLETE", "", metrics, weights if number == 0 else None)
    recorder.search_ended("all trials done")
    return info


def run_of(search: SearchInfo, trial: int) -> str:
    found = find_run(Store(), search.name, trial)
    assert found is not None
    return found


@pytest.mark.parametrize("by", ["number", "run id"])
def test_member_is_fetched_with_all_that_is_known_of_it(
    front: SearchInfo, candidate: Make, tmp_path: Path, by: str
) -> None:
    run = f"{front.name}/0" if by == "number" else run_of(front, 0)
    (tmp_path / "here").mkdir()

    member = fetch_member(Store(), run, tmp_path / "here")

    assert (member.search, member.trial.number, member.trial.run_id) == (front.name, 0, run_of(front, 0))
    assert member.trial.candidate == candidate().flat()
    assert member.weights.parent == tmp_path / "here"
    assert member.weights.read_bytes() == b"weights"
    assert member.trial.metrics == {"quality": 0.9, "accuracy": 0.9, "energy_nj": 10.0, "sac.gain": 0.5}
    assert member.plugins == {"task.digits": "0.1.0", "coding.direct": "0.1.0"}
    assert member.energy_model == "loihi"
    assert member.commit == (StoredSearch.open(Store()).artifact("environment.json")["git_commit"] or "")
    assert member.confirmed is None


def test_settings_of_the_energy_model_are_read_compared_and_shown(
    front: SearchInfo, search: Callable[..., SearchInfo], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, node in (("small", "14nm"), ("large", "28nm")):
        info = replace(search(name), energy_model="chip", plugins={"energy.chip": "1.0"})
        settings: dict[str, Value] = {"energy_model": "chip", "energy.chip.node": node, "energy.chip.volts": 0.75}
        recorder = MlflowRecorder(Store())
        recorder.search_started(replace(info, options={**info.options, **settings}))
        recorder.search_ended("done")
    large = StoredSearch.open(Store(), "large")
    assert large.energy_model == "chip(node=28nm, volts=0.75)"
    assert "chip, node = 28nm, volts = 0.75" in report_page(read_findings(large))
    assert compare(Store(), ["large", "small"]).warnings == (
        "energy model differs: large chip(node=28nm, volts=0.75); small chip(node=14nm, volts=0.75)",
    )
    rows = pareto(Store(), front.name)
    for model, shown in (("chip(node=14nm)", "; energy by chip(node=14nm)"), (DEFAULT_ENERGY_MODEL, "")):
        rows.attrs["energy_model"] = model
        print_table(rows)
        assert capsys.readouterr().out.splitlines()[0].rstrip() == f"front of {front.name}; quality is accuracy{shown}"
    assert pareto(Store(), "small").attrs["energy_model"] == "chip(node=14nm, volts=0.75)"


def test_confirmed_member_comes_with_its_interval_and_number_of_seeds(front: SearchInfo, tmp_path: Path) -> None:
    client = Store().client
    run = run_of(front, 0)
    for seed in (1, 2, 3):
        client.log_metric(run, "test.quality", 0.8 + seed / 100, step=seed)
    for name, value in {"quality": 0.82, "quality_sd": 0.01, "quality_low": 0.795, "quality_high": 0.845}.items():
        client.log_metric(run, f"confirmed.{name}", value)

    member = fetch_member(Store(), run, tmp_path)

    assert member.confirmed == Spread(seeds=3, mean=0.82, sd=0.01, low=0.795, high=0.845)
    assert member.trial.metrics.keys() == {"quality", "accuracy", "energy_nj", "sac.gain"}


def test_seeds_that_a_recommendation_measured_count_for_a_confirmation_that_has_them(
    front: SearchInfo, tmp_path: Path
) -> None:
    client = Store().client
    run = run_of(front, 0)
    for seed in (1, 2, 3, 4):
        client.log_metric(run, "fresh.test.quality", 0.8 + seed / 100, step=seed)
    client.log_metric(run, "test.quality", 0.82, step=5)
    client.set_tag(run, "confirmed.seeds", "1,2,5")
    for name in ("quality", "quality_sd", "quality_low", "quality_high"):
        client.log_metric(run, f"confirmed.{name}", 0.5)

    confirmed = fetch_member(Store(), run, tmp_path).confirmed

    assert confirmed is not None
    assert confirmed.seeds == 3


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("{search}/1", "run {search}/1 is not on a front (its Pareto rank is 1)"),
        (
            "{search}/2",
            "has no weights in MLflow: a search writes them there when it ends; resume it: spikefront run",
        ),
        ("{search}/7", "no trial 7 of search '{search}' in sqlite:///"),
        ("elsewhere/0", "no trial 0 of search 'elsewhere' in sqlite:///"),
        (
            "{search}/best",
            "'{search}/best' names no trial; give SEARCH/TRIAL such as digits-1/23, SEARCH/TRIAL@T for a",
        ),
        (
            "{search}/0@4",
            "no point 0@4 of search '{search}': trial 0 has none: its coding can't be cut, or the search left",
        ),
        ("{search}/7@4", "no trial 7 of search '{search}' in sqlite:///"),
        ("{search}", "no run '{search}' in sqlite:///"),
        ("{parent}", "run {parent} is not a trial of a search"),
    ],
)
def test_what_is_no_member_of_a_front_is_refused(front: SearchInfo, tmp_path: Path, run: str, reason: str) -> None:
    client = Store().client
    parent = client.get_run(run_of(front, 0)).data.tags["mlflow.parentRunId"]
    names = {"search": front.name, "parent": parent}

    with pytest.raises(UsageError, match=re.escape(reason.format(**names))) as refused:
        fetch_member(Store(), run.format(**names), tmp_path)

    assert "\n" not in str(refused.value)


def test_a_search_is_opened_with_its_trials_and_front(front: SearchInfo, candidate: Make) -> None:
    stored = StoredSearch.open(Store(), front.name)
    assert (stored.name, stored.task, stored.quality) == (front.name, "digits", "accuracy")
    assert stored.objectives == front.objectives
    assert stored.options["seed"] == "3"
    assert stored.ended == "all trials done"
    assert stored.seconds >= 0
    by_number = {trial.number: trial for trial in stored.trials}
    assert {number: trial.state for number, trial in by_number.items()} == dict.fromkeys(range(3), "COMPLETE")
    assert by_number[1].candidate == candidate().flat()  # typed, as it was
    assert by_number[1].metrics["energy_nj"] == 20.0
    assert by_number[1].versions["coding"] == "direct 0.1.0"
    assert by_number[1].versions["surrogate"] == "atan 0.2.0"
    assert all(0 <= trial.ended_s <= stored.seconds for trial in stored.trials)
    assert [trial.number for trial in stored.front.members] == [0, 2]
    assert [trial.number for trial in stored.members] == [0, 2]
    assert stored.members[0] == Trial(
        0,
        candidate=candidate().flat(),
        metrics={"quality": 0.9, "energy_nj": 10.0, "sac.gain": 0.5},
        run_id=run_of(front, 0),
    )


def test_trials_are_the_same_by_tables_and_by_client(front: SearchInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Store().client
    client.log_metric(run_of(front, 1), "sops", math.inf)
    client.log_metric(run_of(front, 0), "test.quality", 0.7)
    by_tables = StoredSearch.open(Store()).trials
    monkeypatch.setattr(Store, "file", None)
    by_client = StoredSearch.open(Store()).trials
    assert by_tables == by_client
    assert "test.quality" not in by_tables[0].metrics


def test_the_newest_search_is_the_default_and_an_unknown_one_is_refused(
    front: SearchInfo, search: Search, tmp_path: Path
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("newer"))
    recorder.search_ended("stopped")
    assert StoredSearch.open(Store()).name == "newer"
    with pytest.raises(UnknownName, match=r"unknown search 'newr'\. Did you mean 'newer'\?"):
        StoredSearch.open(Store(), "newr")
    with pytest.raises(UsageError, match=r"search 'newer' has an empty front: no trial was evaluated"):
        _ = StoredSearch.open(Store()).members


def test_a_member_is_fetched_by_its_number(front: SearchInfo, tmp_path: Path) -> None:
    stored = StoredSearch.open(Store(), front.name)
    assert stored.member(0, tmp_path).weights.read_bytes() == b"weights"
    with pytest.raises(UsageError, match=f"no trial 9 of search '{front.name}'"):
        stored.member(9, tmp_path)


def test_objectives_of_a_search_without_their_tag_are_quality_and_energy(database: None) -> None:
    Store().client.create_run("0", tags={"search": "old", "spikefront.role": "search"})
    quality, energy = StoredSearch.open(Store()).objectives
    assert (quality.metric, quality.maximize, quality.worst, quality.best) == ("quality", True, 0.0, 1.0)
    assert energy == EARLIER_ENERGY
