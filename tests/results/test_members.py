from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.results.members import fetch_member
from spikefront.results.store.connection import find_run, open_client, resolve_uri
from spikefront.results.store.recorder import MlflowStore
from spikefront.searchspace import Candidate, SearchInfo, UsageError

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def front(search: Search, candidate: Make, tmp_path: Path) -> SearchInfo:
    """Leave a search of three trials in MLflow: 0 and 2 on its front, 1 behind, 2 without weights."""
    info = search()
    store = MlflowStore()
    store.search_started(info)
    weights = tmp_path / "trial-00000.pt"
    weights.write_bytes(b"weights")
    measured = {0: (0.9, 10.0), 1: (0.8, 20.0), 2: (0.95, 30.0)}
    for number, (quality, energy) in measured.items():
        metrics = {"quality": quality, "energy_nj": energy, "sac.gain": 0.5}
        store.trial_started(number, candidate())
        store.epoch_ended(number, 1, metrics)
        store.trial_ended(number, "COMPLETE", "", metrics, weights if number == 0 else None)
    store.search_ended("all trials done")
    return info


def run_of(search: SearchInfo, trial: int) -> str:
    found = find_run(open_client(resolve_uri()), "0", search.name, trial)
    assert found is not None
    return found


@pytest.mark.parametrize("by", ["number", "run id"])
def test_member_is_fetched_with_all_that_is_known_of_it(
    front: SearchInfo, candidate: Make, tmp_path: Path, by: str
) -> None:
    run = f"{front.name}/0" if by == "number" else run_of(front, 0)
    (tmp_path / "here").mkdir()

    member = fetch_member(run, tmp_path / "here")

    assert (member.search, member.trial, member.run_id) == (front.name, 0, run_of(front, 0))
    assert member.candidate == candidate().flat()
    assert member.weights.parent == tmp_path / "here"
    assert member.weights.read_bytes() == b"weights"
    assert member.metrics == {"quality": 0.9, "accuracy": 0.9, "energy_nj": 10.0, "sac.gain": 0.5}
    assert member.plugins == {"task.digits": "0.1.0", "coding.direct": "0.1.0"}
    assert member.energy_model == "loihi"
    environment = json.loads((tmp_path / "here/environment.json").read_text())
    assert member.commit == (environment["git_commit"] or "")
    assert member.confirmed is None


def test_confirmed_member_comes_with_its_interval_and_number_of_seeds(front: SearchInfo, tmp_path: Path) -> None:
    client = open_client(resolve_uri())
    run = run_of(front, 0)
    for seed in (1, 2, 3):
        client.log_metric(run, "test.quality", 0.8 + seed / 100, step=seed)
    for name, value in {"quality": 0.82, "quality_sd": 0.01, "quality_low": 0.795, "quality_high": 0.845}.items():
        client.log_metric(run, f"confirmed.{name}", value)

    member = fetch_member(run, tmp_path)

    assert member.confirmed == {"seeds": 3, "mean": 0.82, "sd": 0.01, "low": 0.795, "high": 0.845}
    assert member.metrics.keys() == {"quality", "accuracy", "energy_nj", "sac.gain"}


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("{search}/1", "run {search}/1 is not on a front (its Pareto rank is 1)"),
        (
            "{search}/2",
            "has no weights in MLflow: a search leaves them there when it ends; go on with it: spikefront run",
        ),
        ("{search}/7", "no trial 7 of search '{search}' in sqlite:///"),
        ("elsewhere/0", "no trial 0 of search 'elsewhere' in sqlite:///"),
        ("{search}/best", "'{search}/best' names no trial; give SEARCH/TRIAL such as digits-1/23, or an MLflow run id"),
        ("{search}", "no run '{search}' in sqlite:///"),
        ("{parent}", "run {parent} is no trial of a search"),
    ],
)
def test_what_is_no_member_of_a_front_is_refused(front: SearchInfo, tmp_path: Path, run: str, reason: str) -> None:
    client = open_client(resolve_uri())
    parent = client.get_run(run_of(front, 0)).data.tags["mlflow.parentRunId"]
    names = {"search": front.name, "parent": parent}

    with pytest.raises(UsageError, match=re.escape(reason.format(**names))) as refused:
        fetch_member(run.format(**names), tmp_path)

    assert "\n" not in str(refused.value)
