from __future__ import annotations

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


def test_a_value_below_the_floor_is_drawn_at_the_floor() -> None:
    front = Front((QUALITY, OBJECTIVES["sops"]), [Trial(0, metrics={"quality": 0.5, "sops": 0.0})])
    (axes,) = draw(front, "accuracy").axes
    assert [1.0, 0.5] in [point for line in axes.lines for point in np.asarray(line.get_xydata()).tolist()]
