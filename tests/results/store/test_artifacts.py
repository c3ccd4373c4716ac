from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from spikefront.results.plot import draw
from spikefront.results.store.artifacts import environment_json, front_json
from spikefront.searchspace import ENERGY, LATENCY, Front, Objective, SearchInfo, Trial

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


def test_the_picture_says_where_less_is_better() -> None:
    error = Objective("quality", maximize=False, worst=90.0, best=0.0)
    front = Front((error, ENERGY))
    for number, (quality, energy) in enumerate([(80.0, 10.0), (12.34567, 100.0), (20.0, 1e3)]):
        front.add(Trial(number, candidate={"coding": "sac"}, metrics={"quality": quality, "energy_nj": energy}))
    (axes,) = draw(front, "angular_error_deg").axes
    assert axes.get_ylabel() == "angular_error_deg (validation), less is better"
    (steps,) = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-post"]
    assert np.asarray(steps.get_ydata()).tolist() == [80.0, 12.34567, 12.34567]


def test_the_picture_shows_each_trial_and_the_steps(front: Front) -> None:
    (axes,) = draw(front, "accuracy").axes
    assert axes.get_xlabel() == "energy per sample (nJ)"
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == "accuracy (validation)"
    drawn = [(line, np.asarray(line.get_xydata()).tolist()) for line in axes.get_lines()]
    points = [tuple(point) for line, places in drawn if line.get_linestyle() == "None" for point in places]
    assert sorted(points) == [(10.0, 0.5), (2e2, 0.8), (500.0, 0.4), (2e3, 0.9)]
    (steps,) = [places for line, places in drawn if line.get_drawstyle() == "steps-post"]
    assert steps[:3] == [[10.0, 0.5], [2e2, 0.8], [2e3, 0.9]]
    assert steps[3][0] > 2e3  # the best quality holds for every greater budget
    assert steps[3][1] == 0.9


@pytest.mark.parametrize("objectives", [(QUALITY, ENERGY), (QUALITY, LATENCY), (QUALITY, ENERGY, LATENCY)])
@pytest.mark.parametrize("trials", [0, 1, 2])
def test_any_front_can_be_drawn(objectives: tuple[Objective, ...], trials: int, tmp_path: Path) -> None:
    front = Front(objectives)
    for number in range(trials):
        metrics = {"quality": 0.5 + number / 10, "energy_nj": 10.0 + number, "latency_steps": 8.0 - number}
        front.add(Trial(number, metrics=metrics))
    draw(front, "accuracy").savefig(tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_the_environment_says_where_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spikefront", "run", "--tracking-uri", "http://me:secret@server"])
    document = json.loads(environment_json())
    assert document["python"] == platform.python_version()
    assert document["packages"]["mlflow"] == version("mlflow")
    assert document["command"] == "spikefront run --tracking-uri http://***@server"
    assert document["cpus"] >= 1
    assert document["git_commit"] is None  # an empty folder is no repository
