from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.searchspace import ENERGY, LATENCY, OBJECTIVES, Objective, Trial, Value
from spikefront.searchspace.front import (
    Front,
    distinct,
    find_knee,
    hypervolume,
    losses,
    nondominated,
    pareto_ranks,
    spread,
    unseparated,
)

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
PLANE = (QUALITY, replace(ENERGY, best=1.0))

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


def test_a_point_with_a_nan_is_on_no_front_and_dominates_none() -> None:
    nan = math.nan
    assert nondominated([[0.1, nan], [0.2, 0.2], [0.3, 0.3]]).tolist() == [False, True, False]
    assert nondominated([[nan, nan], [nan, 0.0]]).tolist() == [False, False]
    assert pareto_ranks([[0.1, nan], [0.2, 0.2], [0.3, 0.3], [nan, 0.1]]).tolist() == [2, 0, 1, 2]
    assert pareto_ranks([[nan, nan]]).tolist() == [0]
    assert find_knee([[nan, 0.0], [0.0, 1.0], [0.2, 0.2], [1.0, 0.0]]) == 2
    assert hypervolume([[nan, 1.0], [0.5, 1e7]], PLANE) == 0


def test_hypervolume_of_two_points() -> None:
    # Quality loss 1 - q; energy loss log10(nJ) / 7. The points lie at (1/2, 1/7) and (1/5, 3/7).
    # Union of the two boxes up to (1, 1): 1/2 * 6/7 + (4/5 - 1/2) * 4/7 = 3/7 + 1.2/7 = 0.6
    assert hypervolume([[0.5, 10.0], [0.8, 1e3]], PLANE) == pytest.approx(0.6, rel=1e-12)
    # A dominated point and a copy add nothing.
    assert hypervolume([[0.5, 10.0], [0.8, 1e3], [0.5, 10.0], [0.4, 1e4]], PLANE) == pytest.approx(0.6, rel=1e-12)


def test_hypervolume_in_three_dimensions() -> None:
    # Losses 1/2, 4/10 and log(8)/log(64) = 1/2: 1/2 * 6/10 * 1/2 = 0.15
    assert hypervolume([[0.5, 10.0, 8.0]], (QUALITY, ENERGY, LATENCY)) == pytest.approx(0.15, rel=1e-12)


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


def trial(number: int, quality: float, energy: float, state: str = "COMPLETE") -> Trial:
    return Trial(number, state, metrics={"quality": quality, "energy_nj": energy})


AXES = {
    2: PLANE,
    3: (Objective("quality", maximize=False, worst=2.0, best=0.0), ENERGY, OBJECTIVES["spike-rate"]),
    4: (QUALITY, ENERGY, LATENCY, Objective("quality_change", maximize=True, worst=-1.0, best=1.0)),
}
METRICS = {
    "quality": st.sampled_from([-0.5, 0.0, 0.2, 0.6, 1.0, 1.5, math.nan, math.inf]),
    "energy_nj": st.sampled_from([-1.0, 0.0, 1.0, 1e2, 1e4, 1e8, math.nan]),
    "spike_rate": st.sampled_from([0.0, 0.1, 0.5, math.nan]),
    "latency_steps": st.sampled_from([0.0, 1.0, 4.0, 64.0]),
    "quality_change": st.sampled_from([-0.5, 0.0, 0.5]),
}
STATES = st.sampled_from(["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING"])
trials = st.lists(st.tuples(STATES, st.fixed_dictionaries({}, optional=METRICS)), max_size=14)


@pytest.mark.parametrize("count", AXES)
@given(points=trials)
def test_front_equals_brute_force(count: int, points: list[tuple[str, dict[str, float]]]) -> None:
    axes = AXES[count]
    front = Front(axes)
    comparable: dict[int, tuple[float, ...]] = {}
    before: set[int] = set()
    for number, (state, metrics) in enumerate(points):
        changed = front.add(Trial(number, state, metrics=metrics))
        values = [metrics.get(axis.metric, math.nan) for axis in axes]
        if state == "COMPLETE" and all(
            math.isfinite(value) and (value > 0 or not axis.log) for value, axis in zip(values, axes, strict=True)
        ):
            comparable[number] = tuple(axis.loss(value) for value, axis in zip(values, axes, strict=True))
        members = {
            mine for mine, point in comparable.items() if not any(map(dominates_point(point), comparable.values()))
        }
        assert {trial.number for trial in front.members} == members
        assert changed == (members != before)
        before = members
    assert list(front.trials) == list(map(str, comparable))
    assert front.hypervolume == pytest.approx(_by_grid([comparable[number] for number in before]), abs=1e-9)
    assert len(front.curve) == len(comparable)
    assert front.curve == sorted(front.curve)
    assert (dict(front.ranks) == {}) == (comparable == {})
    assert {int(name) for name, rank in front.ranks.items() if rank == 0} == before
    best = min(comparable, key=lambda number: (comparable[number][0], number), default=None)
    assert (None if front.best is None else front.best.number) == best


def dominates_point(point: tuple[float, ...]) -> Callable[[tuple[float, ...]], bool]:
    return lambda other: dominates(other, point)


def _by_grid(points: list[tuple[float, ...]]) -> float:
    """Return the hypervolume up to (1, ..., 1), added up cell by cell of the grid through all coordinates."""
    if not points:
        return 0.0
    clipped = [tuple(max(0.0, value) for value in point) for point in points]
    edges = [
        sorted({0.0, 1.0, *(point[axis] for point in clipped if point[axis] < 1)}) for axis in range(len(points[0]))
    ]
    total = 0.0
    for cell in product(*(range(len(axis) - 1) for axis in edges)):
        low = [axis[place] for axis, place in zip(edges, cell, strict=True)]
        if any(all(value <= corner for value, corner in zip(point, low, strict=True)) for point in clipped):
            total += math.prod(axis[place + 1] - axis[place] for axis, place in zip(edges, cell, strict=True))
    return total


values = st.tuples(st.integers(0, 5).map(lambda n: n / 5), st.integers(0, 5).map(lambda n: 10.0**n))


@given(points=st.lists(values, min_size=1, max_size=25))
def test_ranks_and_curve_are_those_of_the_functions(points: list[tuple[float, float]]) -> None:
    front = Front(PLANE, (trial(number, *point) for number, point in enumerate(points)))
    assert [front.ranks[str(n)] for n in range(len(points))] == pareto_ranks(losses(points, PLANE)).tolist()
    expected = [hypervolume(points[: number + 1], PLANE) for number in range(len(points))]
    assert front.curve == pytest.approx(expected, abs=1e-12)
    assert front.hypervolume == front.curve[-1]


def test_fronts_by_coding_are_fronts_of_a_part() -> None:
    codings = ["sac", "rate", "sac", "rate"]
    points = [(0.9, 1e3), (0.8, 1e3), (0.5, 10.0), (0.7, 1e4)]
    each = [
        Trial(number, candidate={"coding": coding}, metrics={"quality": quality, "energy_nj": energy})
        for number, (coding, (quality, energy)) in enumerate(zip(codings, points, strict=True))
    ]
    fronts = Front(PLANE, each).by("coding")
    assert {name: [one.number for one in front.members] for name, front in fronts.items()} == {
        "rate": [1],
        "sac": [2, 0],
    }


def cut_at(number: int, whole: tuple[float, float], **points: tuple[float, float]) -> Trial:
    """Return a trial with points: ``cut_at(3, (0.9, 1e3), t2=(0.5, 250.0))``."""
    flat: dict[str, Value] = {"coding": "sac", "steps": 8}
    made = Trial(number, candidate=flat, metrics={"quality": whole[0], "energy_nj": whole[1]})
    by_cut = {int(name[1:]): {"quality": q, "energy_nj": e} for name, (q, e) in points.items()}
    return made.with_points(by_cut)


def test_points_of_a_trial_are_members_of_their_own() -> None:
    front = Front(PLANE)
    assert front.add(cut_at(0, (0.9, 1e3), t4=(0.8, 500.0), t2=(0.2, 600.0)))
    assert [one.name for one in front.members] == ["0@4", "0"]
    assert front.ranks == {"0": 0, "0@2": 1, "0@4": 0}
    assert [one.name for one in front.trainings] == ["0"]
    assert front.curve == [hypervolume([(0.9, 1e3), (0.8, 500.0)], PLANE)] == [front.hypervolume]
    assert front.add(cut_at(1, (0.7, 1e3), t4=(0.8, 400.0)))  # no better itself, but its point is
    assert [one.name for one in front.members] == ["1@4", "0"]
    assert front.curve[1:] == [hypervolume([(0.9, 1e3), (0.8, 400.0)], PLANE)]
    assert front.best is not None
    assert front.best.name == "0"


def test_points_of_one_trial_never_repeat_each_other_and_those_of_a_repeated_one_do() -> None:
    front = Front(PLANE)
    assert front.add(cut_at(0, (0.9, 1e3), t4=(0.9, 1e3), t2=(0.9, 1e3)))
    assert not front.add(cut_at(1, (0.9, 1e3), t4=(0.9, 1e3)))
    assert [one.name for one in front.members] == ["0", "0@2", "0@4"]
    assert front.ranks == {"0": 0, "0@2": 0, "0@4": 0, "1": 1, "1@4": 1}


def test_points_that_are_not_comparable_do_not_enter_and_neither_do_those_of_such_a_trial() -> None:
    front = Front(PLANE)
    assert front.add(cut_at(0, (0.9, 1e3), t4=(math.nan, 1.0), t2=(0.5, 0.0)))
    assert not front.add(cut_at(1, (math.nan, 1e3), t4=(0.99, 1.0)))
    assert list(front.trials) == ["0"]
    assert front.curve == [front.hypervolume]


def test_members_of_a_front_make_the_same_front_again_in_any_order() -> None:
    whole = Front(PLANE, [cut_at(0, (0.9, 1e3), t4=(0.8, 500.0), t2=(0.2, 600.0)), cut_at(1, (0.7, 10.0))])
    for members in (whole.members, whole.members[::-1]):
        again = Front(PLANE, members)
        assert again.members == whole.members
        assert again.hypervolume == whole.hypervolume
    assert [one.name for one in whole.by("coding")["sac"].members] == ["1", "0@4", "0"]


def test_the_knee_of_a_front_is_a_member() -> None:
    # in decades of energy: (0, .1), (1, .7), (2, .8), (4, .9): from the line .1 + .2 x they rise 0, .4, .3, 0
    points = [(0.1, 1.0), (0.7, 10.0), (0.8, 1e2), (0.9, 1e4)]
    knee = Front(PLANE, (trial(number, *point) for number, point in enumerate(points))).knee()
    assert knee is not None
    assert knee.number == 1
    assert Front(PLANE).knee() is None


def test_items_are_spread_evenly_with_both_ends() -> None:
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([1, 2], 4) == [1, 2]


def test_only_completed_trials_enter() -> None:
    front = Front(PLANE)
    assert not front.add(trial(0, 0.9, 10.0, "PRUNED"))
    assert not front.add(trial(1, 0.9, 10.0, "FAIL"))
    assert not front.add(trial(2, float("nan"), 10.0))
    assert not front.add(trial(3, 0.9, 0.0))  # no place on a logarithmic axis
    assert not front.add(Trial(4, metrics={"quality": 0.9}))
    assert front.trials == {}
    assert front.members == []
    assert front.best is None
    assert front.hypervolume == 0.0


def test_a_trial_added_twice_counts_once() -> None:
    front = Front(PLANE)
    assert front.add(trial(0, 0.5, 10.0))
    assert not front.add(trial(0, 0.9, 1.0))
    assert front.members == [trial(0, 0.5, 10.0)]


def test_equal_points_of_equal_candidates_are_on_the_front_once() -> None:
    front = Front(PLANE)
    one: dict[str, Value] = {"coding": "sac", "steps": 2}
    other: dict[str, Value] = {"coding": "sac", "steps": 4}
    tried = [(one, 0.5, 10.0), (dict(one), 0.5, 10.0), (other, 0.5, 10.0), (one, 0.7, 20.0), (one, 0.7, 20.0)]
    trials = [Trial(n, candidate=flat, metrics={"quality": q, "energy_nj": e}) for n, (flat, q, e) in enumerate(tried)]
    assert [front.add(trial) for trial in trials] == [True, False, True, True, False]
    assert [trial.number for trial in front.members] == [0, 2, 3]
    assert dict(front.ranks) == {"0": 0, "1": 1, "2": 0, "3": 0, "4": 1}
    assert len(front.trials) == len(front.curve) == 5
    assert front.by("coding")["sac"].members == front.members == distinct(trials, PLANE)
    assert front.add(Trial(5, candidate=other, metrics={"quality": 0.9, "energy_nj": 1.0}))
    assert dict(front.ranks) == {"0": 1, "1": 2, "2": 1, "3": 1, "4": 2, "5": 0}


def test_front_is_listed_cheapest_first_and_best_is_by_quality() -> None:
    front = Front(PLANE)
    for number, (quality, energy) in enumerate([(0.9, 1e3), (0.5, 10.0), (0.7, 100.0), (0.9, 1e3)]):
        front.add(trial(number, quality, energy))
    assert [trial.number for trial in front.members] == [1, 2, 0, 3]
    assert front.best is not None
    assert front.best.number == 0


def test_less_is_better_where_an_objective_says_so() -> None:
    error = Objective("quality", maximize=False, worst=2.0, best=0.0)
    front = Front((error, ENERGY))
    front.add(trial(0, 0.5, 10.0))
    front.add(trial(1, 0.9, 10.0))
    assert [trial.number for trial in front.members] == [0]
    assert front.hypervolume == pytest.approx(0.75 * 0.6)  # losses 0.5 / 2 and 4 / 10


def test_the_knee_is_farthest_from_the_line_between_the_extremes() -> None:
    # the line from (0, 1) to (1, 0) is x + y = 1; (0.1, 0.3) lies 0.6 / sqrt 2 from it, (0.4, 0.1) 0.5 / sqrt 2
    assert find_knee([(0.0, 1.0), (0.4, 0.1), (0.1, 0.3), (1.0, 0.0)]) == 2
    # on the far side nothing counts: of a concave front the extreme with the smaller sum
    assert find_knee([(0.0, 1.0), (0.9, 0.8), (0.7, 0.0)]) == 2
    assert find_knee([(0.2, 0.7), (0.6, 0.2)]) == 1
    assert find_knee([(0.5, 0.5)]) == 0
    assert find_knee([(0.5, 0.5), (0.5, 0.5)]) == 0
    for wrong in ([], [(1.0, 2.0, 3.0)]):
        with pytest.raises(ValueError, match="a knee needs points"):
            find_knee(wrong)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=8),
    st.sampled_from([0.25, 1.0, 8.0]),
    st.sampled_from([-2.0, 0.0, 16.0]),
)
def test_stretching_an_axis_does_not_move_the_knee(points: list[tuple[int, int]], factor: float, shift: float) -> None:
    plain = np.array(points, dtype=np.float64)
    best, cheapest = min(points), min(points, key=lambda point: point[::-1])
    lengths = np.array(cheapest) - np.array(best)
    rise = (np.array(best) - plain) @ np.array([-lengths[1], lengths[0]])  # the line's normal, towards the ideal
    if (rise == rise.max()).sum() == 1:  # else the sum of losses decides, which stretching changes
        assert find_knee(plain) == find_knee(plain * [factor, 1.0] + [shift, 0.0]) == int(rise.argmax())


def member(number: int, energy: float, error: float | None = None) -> Trial:
    known = {"quality": 0.5, "energy_nj": energy} | ({} if error is None else {"energy_se_nj": error})
    return Trial(number, metrics=known)


def test_neighbours_are_separated_by_two_standard_errors_of_their_difference() -> None:
    # the error of a difference is 5 (3 and 4), so that 10 separates
    assert unseparated([member(1, 100.0, 3.0), member(2, 110.0, 4.0)]) == {}
    assert unseparated([member(2, 109.99, 4.0), member(1, 100.0, 3.0)]) == {"1": ("2",), "2": ("1",)}
    row = [member(5, 100.0, 1.0), member(3, 102.0, 1.0), member(4, 104.0, 1.0), member(9, 200.0, 1.0)]
    assert unseparated(row) == {"5": ("3",), "3": ("5", "4"), "4": ("3",)}  # of which 5 and 4 are no neighbours


def test_points_are_named_as_neighbours() -> None:
    point = replace(member(1, 102.0, 3.0), cut=2)
    assert unseparated([member(1, 100.0, 3.0), point]) == {"1": ("1@2",), "1@2": ("1",)}


def test_energies_without_an_error_are_separated() -> None:
    assert unseparated([member(1, 100.0), member(2, 100.1)]) == {}  # of an earlier version
    assert unseparated([member(1, 100.0, 0.0), member(2, 100.0, 0.0)]) == {}  # each sample costs the same
    assert unseparated([member(1, 100.0, 50.0), member(2, 100.1)]) == {}
    assert unseparated([]) == {}


def test_the_hypervolume_tells_apart_what_costs_less_than_a_nanojoule() -> None:
    axes = (QUALITY, ENERGY)
    volumes = [hypervolume([[0.5, energy]], axes) for energy in (1.0, 0.76, 0.1, 0.01, 0.0011)]
    assert volumes == sorted(set(volumes))
    # 0.1 nJ lies 8 of the 10 decades below 10 mJ, and the quality halfway
    assert volumes[2] == pytest.approx(0.5 * 0.8)
