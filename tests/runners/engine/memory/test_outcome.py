"""The outcome of a trial, and where its points stand."""

from __future__ import annotations

import math

import numpy as np

from spikefront.runners.engine.memory.outcome import standing_of
from spikefront.searchspace import ENERGY, Objective
from spikefront.searchspace.objectives import Limits

AXES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


def test_points_stand_with_their_vector_and_by_how_much_they_overstep_the_limits() -> None:
    points = [{"quality": 0.5, "energy_nj": 10.0}, {"quality": 0.8, "energy_nj": 1000.0}]
    found = standing_of(points, AXES, Limits(max_energy_nj=100.0, min_quality=0.4))
    np.testing.assert_allclose(found, [[0.5, 1.0, 0.0], [0.8, 3.0, 1.0]])


def test_points_that_say_nothing_are_left_out() -> None:
    kept = {"quality": 0.5, "energy_nj": 10.0}
    costly, nan, without = {"quality": 0.4, "energy_nj": 20.0}, {**kept, "quality": math.nan}, {"quality": 0.9}
    np.testing.assert_allclose(standing_of([costly, nan, kept, without], AXES, Limits()), [[0.5, 1.0, 0.0]])
    assert standing_of([], AXES, Limits()).shape == (0, 3)
