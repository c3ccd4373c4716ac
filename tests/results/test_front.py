from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.results.front import Scoreboard, Trial, format_quality
from spikefront.searchspace import ENERGY, Objective
from spikefront.searchspace.front import hypervolume, losses, nondominated, pareto_ranks

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
PLANE = (QUALITY, ENERGY)


def trial(number: int, quality: float, energy: float) -> Trial:
    return Trial(number, {"quality": quality, "energy_nj": energy}, {})


values = st.tuples(st.integers(0, 5).map(lambda n: n / 5), st.integers(0, 5).map(lambda n: 10.0**n))


@given(points=st.lists(values, min_size=1, max_size=25))
def test_scoreboard_knows_the_front_after_each_trial(points: list[tuple[float, float]]) -> None:
    board = Scoreboard(PLANE)
    before: set[int] = set()
    for number, (quality, energy) in enumerate(points):
        changed = board.add(trial(number, quality, energy), "COMPLETE")
        mask = nondominated(losses(points[: number + 1], PLANE))
        front = {trial.number for trial in board.front}
        assert front == set(np.flatnonzero(mask))
        assert changed == (front != before)
        before = front
    assert [board.ranks[n] for n in range(len(points))] == pareto_ranks(losses(points, PLANE)).tolist()
    assert board.hypervolume == pytest.approx(hypervolume(points, PLANE), abs=1e-12)


def test_only_completed_trials_enter() -> None:
    board = Scoreboard(PLANE)
    assert not board.add(trial(0, 0.9, 10.0), "PRUNED")
    assert not board.add(trial(1, 0.9, 10.0), "FAIL")
    assert not board.add(trial(2, float("nan"), 10.0), "COMPLETE")
    assert not board.add(trial(3, 0.9, 0.0), "COMPLETE")  # no place on a logarithmic axis
    assert not board.add(Trial(4, {"quality": 0.9}, {}), "COMPLETE")
    assert board.trials == {}
    assert board.front == []
    assert board.best is None
    assert board.hypervolume == 0.0


def test_a_trial_told_twice_counts_once() -> None:
    board = Scoreboard(PLANE)
    assert board.add(trial(0, 0.5, 10.0), "COMPLETE")
    assert not board.add(trial(0, 0.9, 1.0), "COMPLETE")
    assert board.front == [trial(0, 0.5, 10.0)]


def test_front_is_listed_cheapest_first_and_best_is_by_quality() -> None:
    board = Scoreboard(PLANE)
    for number, (quality, energy) in enumerate([(0.9, 1e3), (0.5, 10.0), (0.7, 100.0), (0.9, 1e3)]):
        board.add(trial(number, quality, energy), "COMPLETE")
    assert [trial.number for trial in board.front] == [1, 2, 0, 3]
    assert board.best is not None
    assert board.best.number == 0


def test_less_is_better_where_an_objective_says_so() -> None:
    error = Objective("quality", maximize=False, worst=2.0, best=0.0)
    board = Scoreboard((error, ENERGY))
    board.add(trial(0, 0.5, 10.0), "COMPLETE")
    board.add(trial(1, 0.9, 10.0), "COMPLETE")
    assert [trial.number for trial in board.front] == [0]
    assert board.hypervolume == pytest.approx(0.75 * 6 / 7)  # losses 0.5 / 2 and 1 / 7


@pytest.mark.parametrize(
    ("quality", "text"),
    [
        (0.96139, "0.9614"),
        (-0.05, "-0.0500"),
        (9.9, "9.9000"),
        (12.34567, "12.346"),
        (158.4, "158.40"),
        (-173.1234, "-173.12"),
        (123456.7, "123457"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_qualities_have_four_digits_behind_the_point_or_five_in_all(quality: float, text: str) -> None:
    assert format_quality(quality) == text
