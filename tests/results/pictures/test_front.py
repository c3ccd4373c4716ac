from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from spikefront.results.findings import Findings
from spikefront.results.pictures.front import Plane, front_picture, hypervolume_picture
from spikefront.results.pictures.looks import axis, edges, look
from spikefront.searchspace import ENERGY, OBJECTIVES, Objective
from spikefront.searchspace.objectives import quality_objective

Make = Callable[..., Findings]
QUALITY = quality_objective(maximize=True, worst=0.0, best=1.0)


def made(findings: Make, points: list[tuple[float, float]], across: Objective = ENERGY, **more: Any) -> Findings:
    trials = [({"coding": "sac"}, {"quality": quality, across.metric: value}) for quality, value in points]
    return findings(trials, objectives=(QUALITY, across), **more)


def corners(found: Findings) -> list[list[float]]:
    return [[row["x"], row["y"]] for row in Plane.of(found).steps(found.members)]


def test_codings_can_be_told_apart() -> None:
    assert len({look(index) for index in range(72)}) == 72


def test_steps_are_the_best_quality_for_each_budget(findings: Make) -> None:
    found = made(findings, [(0.5, 1.0), (0.4, 2.0), (0.9, 8.0)])
    *reached, (edge, level) = corners(found)
    assert reached == [[1.0, 0.5], [8.0, 0.9]]
    assert (edge > 8.0, level) == (True, 0.9)


def test_where_more_is_better_the_steps_show_the_best_quality_at_least_there(findings: Make) -> None:
    sparsity = Objective("sparsity", maximize=True, worst=0.0, best=1.0)
    found = made(findings, [(0.9, 0.2), (0.5, 0.8), (0.4, 0.3), (0.7, 0.6)], sparsity)
    *reached, (edge, level) = corners(found)
    assert reached == [[0.8, 0.5], [0.6, 0.7], [0.2, 0.9]]
    assert (edge < 0.2, level) == (True, 0.9)


def test_a_value_below_the_floor_is_drawn_at_the_floor(findings: Make) -> None:
    assert corners(made(findings, [(0.5, 0.0)], OBJECTIVES["sops"]))[0] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("across", "title", "scale"),
    [
        (ENERGY, "energy per sample", "log"),
        (OBJECTIVES["latency"], "latency (steps)", "log"),
        (Objective("odd_metric", maximize=False, worst=9.0, best=0.0), "odd metric", "linear"),
    ],
)
def test_the_axis_beside_quality_is_that_of_its_objective(
    findings: Make, across: Objective, title: str, scale: str
) -> None:
    picture = front_picture(made(findings, [(0.5, 1.0), (0.9, 8.0)], across))
    x, y = (picture.spec["layer"][0]["encoding"][channel] for channel in "xy")
    assert (x["title"], x["scale"]["type"]) == (title, scale)
    assert y["title"] == "accuracy (validation)"


def test_less_is_better_is_said(findings: Make) -> None:
    error = Objective("quality", maximize=False, worst=90.0, best=0.0)
    found = findings(
        [({"coding": "sac"}, {"quality": 3.0, "energy_nj": 1.0})], objectives=(error, ENERGY), quality="angular error"
    )
    assert "angular error (validation), less is better" in front_picture(found).svg()


@pytest.mark.parametrize("span", [1.001, 3.0, 40.0, 1e3, 1e8])
def test_ticks_of_energies_have_units_and_room(findings: Make, span: float) -> None:
    svg = front_picture(made(findings, [(0.5, 3.0), (0.9, 3.0 * span)])).svg()
    shown = [unit for unit in ("pJ", "nJ", "µJ", "mJ") if f" {unit}<" in svg]
    assert shown
    assert svg.count("J</text>") <= 13


def test_edges_leave_room_around_one_value() -> None:
    low, high = edges([5.0], log=False)
    assert low < 5.0 < high
    low, high = edges([10.0, 1000.0], log=True)
    assert math.log10(10 / low) == pytest.approx(0.08)
    assert math.log10(high / 1000) == pytest.approx(0.08)
    assert axis(ENERGY, [], "energy")["scale"].domain[0] > 0


def test_the_knee_and_the_losers_are_marked(findings: Make) -> None:
    points = [(0.5, 1.0), (0.85, 2.0), (0.9, 8.0)]
    found = made(findings, points, twins={"members": [{"trial": 2, "verdict": "loses"}]})
    marks = [layer["mark"] for layer in front_picture(found).spec["layer"]]
    assert [mark.get("shape") for mark in marks].count("stroke") == 1
    assert any(mark["type"] == "text" for mark in marks)


def test_the_hypervolume_changes_only_where_the_front_does_and_ends_with_the_search(findings: Make) -> None:
    found = made(findings, [(0.5, 10.0), (0.4, 20.0), (0.9, 8.0)], seconds=300.0)
    rows = hypervolume_picture(found).rows
    assert [row["x"] for row in rows] == [0.0, 1, 3, 3]
    assert rows[-1]["hypervolume"] == found.front.hypervolume
    assert hypervolume_picture(found, "time").rows[-1]["x"] == 5.0  # minutes


def test_of_many_trials_behind_the_front_as_many_are_drawn_as_wanted(findings: Make) -> None:
    found = made(findings, [(0.99, 1.0), *((0.5, 2.0 + at) for at in range(100))])
    assert len(front_picture(found, most=10).rows) == 11
    assert len(front_picture(found).rows) == 101
