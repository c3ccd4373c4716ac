from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikefront.results.plot import draw, look
from spikefront.searchspace import ENERGY, LATENCY, OBJECTIVES, Front, Objective, Trial
from spikefront.searchspace.objectives import quality_objective

QUALITY = quality_objective(maximize=True, worst=0.0, best=1.0)


def test_codings_can_be_told_apart() -> None:
    assert len({tuple(look(index).values()) for index in range(72)}) == 72


@pytest.mark.parametrize(
    ("axis", "label"),
    [
        (ENERGY, "energy per sample (nJ)"),
        (LATENCY, "latency (steps)"),
        (OBJECTIVES["sops"], "synaptic operations"),
        (Objective("odd_metric", maximize=False, worst=9.0, best=0.0), "odd metric"),
    ],
)
def test_the_axis_beside_quality_is_labelled_and_scaled_by_its_objective(axis: Objective, label: str) -> None:
    points = ((0.5, 1.0, "sac"), (0.4, 2.0, "sac"), (0.9, 8.0, "direct"))
    trials = [
        Trial(number, candidate={"coding": coding}, metrics={"quality": quality, axis.metric: value})
        for number, (quality, value, coding) in enumerate(points)
    ]
    (axes,) = draw(Front((QUALITY, axis), trials), "accuracy", "t").axes
    assert axes.get_xlabel() == label
    assert axes.get_ylabel() == "accuracy (validation)"
    assert axes.get_xscale() == ("log" if axis.log else "linear")
    # the best for each budget: 0.5 from 1 on, 0.9 from 8 on; the trial that is behind has no step
    steps = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert np.asarray(steps.get_xydata())[:-1].tolist() == [[1.0, 0.5], [8.0, 0.9]]


def test_of_an_axis_where_more_is_better_the_steps_show_the_best_quality_at_least_there() -> None:
    sparsity = Objective("sparsity", maximize=True, worst=0.0, best=1.0)
    points = ((0.9, 0.2), (0.5, 0.8), (0.4, 0.3), (0.7, 0.6))
    trials = [Trial(number, metrics={"quality": q, "sparsity": s}) for number, (q, s) in enumerate(points)]
    (axes,) = draw(Front((QUALITY, sparsity), trials), "accuracy").axes
    (steps,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    left, _ = axes.get_xlim()
    assert np.asarray(steps.get_xydata()).tolist() == [[0.8, 0.5], [0.6, 0.7], [0.2, 0.9], [left, 0.9]]


def test_a_value_below_the_floor_is_drawn_at_the_floor() -> None:
    front = Front((QUALITY, OBJECTIVES["sops"]), [Trial(0, metrics={"quality": 0.5, "sops": 0.0})])
    (axes,) = draw(front, "accuracy").axes
    assert [1.0, 0.5] in [point for line in axes.lines for point in np.asarray(line.get_xydata()).tolist()]


def test_the_picture_says_where_less_is_better() -> None:
    error = Objective("quality", maximize=False, worst=90.0, best=0.0)
    front = Front((error, ENERGY))
    for number, (quality, energy) in enumerate([(80.0, 10.0), (12.34567, 100.0), (20.0, 1e3)]):
        front.add(Trial(number, candidate={"coding": "sac"}, metrics={"quality": quality, "energy_nj": energy}))
    (axes,) = draw(front, "angular_error_deg").axes
    assert axes.get_ylabel() == "angular_error_deg (validation), less is better"
    (steps,) = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-post"]
    assert np.asarray(steps.get_ydata()).tolist() == [80.0, 12.34567, 12.34567]


def test_the_picture_shows_each_trial_and_the_steps() -> None:
    front = Front((QUALITY, ENERGY))
    for number, (quality, energy) in enumerate([(0.9, 2e3), (0.5, 10.0), (0.4, 500.0), (0.8, 2e2)]):
        front.add(Trial(number, metrics={"quality": quality, "energy_nj": energy}))
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
