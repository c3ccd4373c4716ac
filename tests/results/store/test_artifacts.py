from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from spikefront.results.front import Scoreboard, Trial
from spikefront.results.plot import draw, svg
from spikefront.results.store.artifacts import environment_json, front_json, front_page
from spikefront.searchspace import ENERGY, LATENCY, Objective, SearchInfo

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
Search = Callable[..., SearchInfo]


@pytest.fixture
def board() -> Scoreboard:
    board = Scoreboard((QUALITY, ENERGY))
    for number, (quality, energy, coding) in enumerate(
        [(0.9, 2e3, "sac"), (0.5, 10.0, "<b>"), (0.4, 500.0, "rate"), (0.8, 2e2, "sac")]
    ):
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": 4.0}
        board.add(Trial(number, metrics, {"coding": coding, "steps": 4}), "COMPLETE")
    return board


def test_front_json_holds_the_members_with_their_runs(search: Search, board: Scoreboard) -> None:
    document = json.loads(front_json(search(), board, {None: "p", 0: "a", 1: "b", 3: "d"}))
    assert document["run_id"] == "p"
    assert document["objectives"] == ["quality", "energy_nj"]
    assert document["completed"] == 4
    assert [(m["trial"], m["run_id"], m["candidate"]["coding"]) for m in document["front"]] == [
        (1, "b", "<b>"),
        (3, "d", "sac"),
        (0, "a", "sac"),
    ]


def test_the_page_needs_nothing_else(search: Search, board: Scoreboard) -> None:
    page = front_page(search(), board)
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    assert len(rows) == 1 + 3
    assert "2.00 µJ" in rows[3]
    assert "&lt;b&gt;" in page
    assert "<td><b>" not in page
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s)]*", page)) <= namespaces
    assert not re.search(r"<script|<link|<img|@import|\ssrc=", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_page_says_where_less_is_better(search: Search) -> None:
    error = Objective("quality", maximize=False, worst=90.0, best=0.0)
    board = Scoreboard((error, ENERGY))
    for number, (quality, energy) in enumerate([(80.0, 10.0), (12.34567, 100.0), (20.0, 1e3)]):
        board.add(Trial(number, {"quality": quality, "energy_nj": energy}, {"coding": "sac"}), "COMPLETE")
    page = front_page(replace(search(), quality="angular_error_deg"), board)
    assert "2 of 3 completed trials" in page
    assert "Values are on the validation split; less angular_error_deg is better." in page
    assert "12.346" in page
    (axes,) = draw(board, "angular_error_deg").axes
    assert axes.get_ylabel() == "angular_error_deg (validation), less is better"
    (steps,) = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-post"]
    assert np.asarray(steps.get_ydata()).tolist() == [80.0, 12.34567, 12.34567]


def test_the_picture_takes_the_colour_of_the_page(board: Scoreboard) -> None:
    picture = svg(draw(board, "accuracy", "a title"), "accuracy over <energy>")
    root = ElementTree.fromstring(picture)
    assert root.attrib["aria-label"] == "accuracy over <energy>"
    assert "currentColor" in picture
    assert not re.search(r"fill: #(000000|ffffff);? ?\"|<text", picture)  # no ink of its own, no fonts


def test_the_picture_shows_each_trial_and_the_steps(board: Scoreboard) -> None:
    (axes,) = draw(board, "accuracy").axes
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
    board = Scoreboard(objectives)
    for number in range(trials):
        metrics = {"quality": 0.5 + number / 10, "energy_nj": 10.0 + number, "latency_steps": 8.0 - number}
        board.add(Trial(number, metrics, {}), "COMPLETE")
    draw(board, "accuracy").savefig(tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_the_environment_says_where_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spikefront", "run", "--tracking-uri", "http://me:secret@server"])
    document = json.loads(environment_json())
    assert document["python"] == platform.python_version()
    assert document["packages"]["mlflow"] == version("mlflow")
    assert document["command"] == "spikefront run --tracking-uri http://***@server"
    assert document["cpus"] >= 1
    assert document["git_commit"] is None  # an empty folder is no repository
