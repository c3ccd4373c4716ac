from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.searchspace import ENERGY, LATENCY, Objective
from spikefront.searchspace.front import hypervolume, losses, nondominated, pareto_ranks

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
PLANE = (QUALITY, ENERGY)

# Few distinct values, so that ties and duplicates are common.
clouds = st.integers(1, 4).flatmap(
    lambda m: st.lists(st.tuples(*[st.integers(0, 4).map(float)] * m), min_size=1, max_size=30)
)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


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
