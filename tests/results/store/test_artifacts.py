from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

from spikefront.results.store.artifacts import environment_json, front_json
from spikefront.searchspace import ENERGY, Front, Objective, SearchInfo, Trial

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
Search = Callable[..., SearchInfo]


@pytest.fixture
def front() -> Front:
    front = Front((QUALITY, ENERGY))
    for number, (quality, energy, coding) in enumerate(
        [(0.9, 2e3, "sac"), (0.5, 10.0, "<b>"), (0.4, 500.0, "rate"), (0.8, 2e2, "sac")]
    ):
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": 4.0}
        front.add(Trial(number, candidate={"coding": coding, "steps": 4}, metrics=metrics))
    return front


def test_front_json_holds_the_members_with_their_runs(search: Search, front: Front) -> None:
    document = json.loads(front_json(search(), front, {None: "p", 0: "a", 1: "b", 3: "d"}))
    assert document["run_id"] == "p"
    assert document["objectives"] == ["quality", "energy_nj"]
    assert document["completed"] == 4
    assert [(m["trial"], m["run_id"], m["candidate"]["coding"]) for m in document["front"]] == [
        (1, "b", "<b>"),
        (3, "d", "sac"),
        (0, "a", "sac"),
    ]


def test_the_environment_says_where_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spikefront", "run", "--tracking-uri", "http://me:secret@server"])
    document = json.loads(environment_json())
    assert document["python"] == platform.python_version()
    assert document["packages"]["mlflow"] == version("mlflow")
    assert document["command"] == "spikefront run --tracking-uri http://***@server"
    assert document["cpus"] >= 1
    assert document["git_commit"] is None  # an empty folder is no repository
