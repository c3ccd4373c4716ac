from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.results.front import Scoreboard, Trial, hypervolume, losses, nondominated, pareto_ranks
from spikefront.searchspace import ENERGY, LATENCY, Objective

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
PLANE = (QUALITY, ENERGY)

# Few distinct values, so that ties and duplicates are common.
clouds = st.integers(1, 4).flatmap(
    lambda m: st.lists(st.tuples(*[st.integers(0, 4).map(float)] * m), min_size=1, max_size=30)
)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def trial(number: int, quality: float, energy: float) -> Trial:
    return Trial(number, {"quality": quality, "energy_nj": energy}, {})


def test_losses_are_those_of_the_objectives() -> None:
    axes = (QUALITY, ENERGY, LATENCY)
    points = np.array([[0.3, 250.0, 4.0], [1.0, 1.0, 1.0], [-0.5, 1e9, 128.0]])
    expected = [[axis.loss(value) for axis, value in zip(axes, row, strict=True)] for row in points]
    np.testing.assert_allclose(losses(points, axes), expected, rtol=1e-12)
    assert losses([], axes).shape == (0, 3)


def test_points_with_the_wrong_number_of_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"points have shape \(1, 3\), but there are 2 objectives"):
        losses([[0.5, 10.0, 1.0]], PLANE)


@given(points=clouds)
def test_nondominated_is_what_nothing_dominates(points: list[tuple[float, ...]]) -> None:
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert nondominated(points).tolist() == expected


@given(points=clouds)
def test_ranks_are_the_fronts_peeled_off(points: list[tuple[float, ...]]) -> None:
    expected, left, rank = [0] * len(points), set(range(len(points))), 0
    while left:
        layer = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        for i in layer:
            expected[i] = rank
        left, rank = left - layer, rank + 1
    assert pareto_ranks(points).tolist() == expected


def test_equal_points_are_both_on_the_front() -> None:
    assert nondominated([[0.2, 0.5], [0.2, 0.5], [0.3, 0.5]]).tolist() == [True, True, False]


def test_nothing_has_no_front() -> None:
    assert nondominated(np.empty((0, 2))).shape == (0,)
    assert pareto_ranks(np.empty((0, 2))).shape == (0,)
    assert hypervolume([], PLANE) == 0.0


def test_hypervolume_of_two_points() -> None:
    # Quality loss 1 - q; energy loss log10(nJ) / 7. The points lie at (1/2, 1/7) and (1/5, 3/7).
    # Union of the two boxes up to (1, 1): 1/2 * 6/7 + (4/5 - 1/2) * 4/7 = 3/7 + 1.2/7 = 0.6
    assert hypervolume([[0.5, 10.0], [0.8, 1e3]], PLANE) == pytest.approx(0.6, rel=1e-12)
    # A dominated point and a copy add nothing.
    assert hypervolume([[0.5, 10.0], [0.8, 1e3], [0.5, 10.0], [0.4, 1e4]], PLANE) == pytest.approx(0.6, rel=1e-12)


def test_hypervolume_in_three_dimensions() -> None:
    # Losses 1/2, 1/7 and log(8)/log(64) = 1/2: 1/2 * 6/7 * 1/2 = 3/14
    assert hypervolume([[0.5, 10.0, 8.0]], (QUALITY, ENERGY, LATENCY)) == pytest.approx(3 / 14, rel=1e-12)


def test_hypervolume_of_the_ideal_is_one() -> None:
    assert hypervolume([[1.0, 1.0]], PLANE) == pytest.approx(1.0, rel=1e-12)
    assert hypervolume([[2.0, 1e-3]], PLANE) == pytest.approx(1.0, rel=1e-12)  # better than best counts as best


def test_points_beyond_the_worst_contribute_nothing() -> None:
    assert hypervolume([[0.0, 1.0], [1.0, 1e7], [-3.0, 10.0], [0.9, 1e9]], PLANE) == 0.0


def test_front_and_hypervolume_of_10000_points_take_at_most_10_ms() -> None:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.random(10_000), 10 ** rng.uniform(0, 7, 10_000)])
    taken = []
    for _ in range(10):
        start = time.perf_counter()
        nondominated(losses(points, PLANE))
        hypervolume(points, PLANE)
        taken.append(time.perf_counter() - start)
    assert min(taken) <= 0.010


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
