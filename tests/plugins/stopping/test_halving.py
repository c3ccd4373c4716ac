"""Early stopping: which trials go past a rung."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefront.plugins.stopping.halving import Halving, HalvingConfig, Rungs, rung_shares
from spikefront.searchspace import ENERGY, Objective, Trial, UsageError

ACCURACY = Objective("quality", maximize=True, worst=0.0, best=1.0)
COST = Objective("cost", maximize=False, worst=100.0, best=0.0)
PLANE = (ACCURACY, ENERGY)

# Few distinct values, so that ties and duplicates are common.
clouds = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.tuples(*[st.integers(0, 4)] * m), min_size=1, max_size=16).map(
        lambda points: [tuple(float(value) for value in point) for point in points]
    )
)
Point = tuple[float, ...]


def axes(count: int) -> tuple[Objective, ...]:
    return tuple(Objective(f"f{i}", maximize=False, worst=10.0, best=0.0) for i in range(count))


def named(point: Point) -> dict[str, float]:
    return {f"f{i}": value for i, value in enumerate(point)}


def single(**more: Any) -> Rungs:
    """Rungs at half of the epochs, on one objective to be minimised."""
    return Rungs([COST], shares=[0.5], **{"quota": 0, **more})


def arrive(rungs: Rungs, number: int, cost: float, coding: str = "rate") -> bool:
    """Return whether a trial of 20 epochs goes on at the rung at half of them."""
    return rungs.decide(number, coding, 10, 20, {"cost": cost}) is None


def places(points: Sequence[Point]) -> list[int]:
    """Places by brute force: peel fronts; in each, the best on the first axis, then always the farthest."""
    order: list[int] = []
    low = [min(column) for column in zip(*points, strict=True)]
    high = [max(column) for column in zip(*points, strict=True)]

    def scaled(i: int) -> list[float]:
        return [(v - a) / (b - a) if b > a else 0.0 for v, a, b in zip(points[i], low, high, strict=True)]

    def dominates(i: int, j: int) -> bool:
        return points[i] != points[j] and all(a <= b for a, b in zip(points[i], points[j], strict=True))

    left = set(range(len(points)))
    while left:
        front = {i for i in left if not any(dominates(j, i) for j in left)}
        left -= front
        done = [min(front, key=lambda i: (points[i], i))]
        while front - {*done}:
            done.append(min(front - {*done}, key=lambda i: (-min(math.dist(scaled(i), scaled(j)) for j in done), i)))
        order += done
    return [order.index(i) + 1 for i in range(len(points))]


def goes_on(points: Sequence[Point], newcomer: int, reduction: int = 3, coding: str = "rate") -> bool:
    """Decide on one of the points as the last to come, all others of other codings, which have gone on."""
    rungs = Rungs(axes(len(points[0])), shares=[0.5], quota=0, reduction=reduction)
    rungs.restore(
        {"number": i, "coding": f"other-{i}", "rung": 0, "vector": list(point), "went_on": True}
        for i, point in enumerate(points)
        if i != newcomer
    )
    return rungs.decide(newcomer, coding, 1, 2, named(points[newcomer])) is None


# Where rungs lie


def test_default_rungs_are_at_5_15_and_45_percent() -> None:
    assert Rungs(PLANE).shares == pytest.approx((0.05, 0.15, 0.45))
    assert rung_shares(reduction=2) == pytest.approx((0.05, 0.1, 0.2, 0.4, 0.8))
    assert rung_shares(first=1 / 3) == pytest.approx((1 / 3,))


@pytest.mark.parametrize(
    ("budget", "epochs"),
    [
        *((1, {}), (2, {1: 2}), (3, {1: 1, 2: 2}), (4, {1: 1, 2: 2}), (5, {1: 1, 3: 2}), (20, {3: 1, 9: 2})),
        *((40, {6: 1, 18: 2}), (41, {3: 0, 7: 1, 19: 2}), (100, {5: 0, 15: 1, 45: 2})),  # 5 % of 40 are two epochs
    ],
)
def test_rungs_are_shares_of_the_trials_own_budget(budget: int, epochs: dict[int, int]) -> None:
    assert Rungs(PLANE).rung_epochs(budget) == epochs


def test_rounding_errors_move_no_rung() -> None:
    assert 0.55 * 100 > 55
    assert Rungs(PLANE, shares=[0.55]).rung_epochs(100) == {55: 0}


@given(budget=st.integers(1, 400), reduction=st.integers(2, 5))
def test_no_rung_is_before_15_percent_in_the_first_two_epochs_or_at_the_last_epoch(budget: int, reduction: int) -> None:
    epochs = Rungs(PLANE, reduction=reduction).rung_epochs(budget)
    assert all(0.05 * budget - 1e-6 <= epoch < budget for epoch in epochs)
    assert all(epoch >= min(3, 0.15 * budget - 1e-6) for epoch in epochs)
    assert sorted(epochs) == [epoch for epoch, _ in sorted(epochs.items(), key=lambda item: item[1])]


@pytest.mark.parametrize("shares", [[0.04, 0.5], [0.5, 0.2], [0.5, 0.5], [0.5, 1.0], [math.nan]])
def test_rungs_too_early_too_late_or_out_of_order_are_refused(shares: list[float]) -> None:
    with pytest.raises(UsageError, match=r"^rungs="):
        Rungs(PLANE, shares=shares)


@pytest.mark.parametrize(("reduction", "quota"), [(1, 2), (3, -1)])
def test_reduction_and_quota_out_of_range_are_refused(reduction: int, quota: int) -> None:
    with pytest.raises(UsageError, match="must be"):
        Rungs(PLANE, reduction=reduction, quota=quota)


@pytest.mark.parametrize("budget", range(1, 6))
def test_short_budgets_are_judged_where_a_rung_is_left(budget: int) -> None:
    stopped = []
    for epoch in range(1, budget + 1):
        rungs = Rungs([COST], quota=0)
        decisions = [rungs.decide(number, "rate", epoch, budget, {"cost": float(number)}) for number in range(3)]
        stopped += [epoch] if decisions[2] else []
    assert stopped == sorted(Rungs([COST]).rung_epochs(budget))


# Who goes on


@settings(max_examples=200)
@given(points=clouds, reduction=st.integers(2, 4), data=st.data())
def test_a_newcomer_goes_on_by_its_true_place(points: list[Point], reduction: int, data: st.DataObject) -> None:
    newcomer = data.draw(st.integers(0, len(points) - 1))
    good = len(points) // reduction
    expected = len(points) < reduction or places(points)[newcomer] <= good
    assert goes_on(points, newcomer, reduction) == expected


@given(order=st.permutations(range(12)), reduction=st.integers(2, 4))
def test_in_a_total_order_exactly_the_top_share_goes_on(order: list[int], reduction: int) -> None:
    points = [(float(rank), float(rank)) for rank in order]
    survivors = [order[i] for i in range(12) if goes_on(points, i, reduction)]
    assert sorted(survivors) == list(range(12 // reduction))


@given(points=clouds, scale=st.integers(1, 1000), shift=st.integers(-1000, 1000), data=st.data())
def test_the_unit_of_an_objective_does_not_matter(
    points: list[Point], scale: int, shift: int, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, len(points[0]) - 1))
    other = [(*p[:axis], p[axis] * scale + shift, *p[axis + 1 :]) for p in points]
    for newcomer in range(len(points)):
        assert goes_on(points, newcomer) == goes_on(other, newcomer)


def test_inside_a_front_the_spread_counts_on_all_objectives() -> None:
    # One front of six, good are two: the leader on the first axis, and the point farthest from it.
    front = [(0.0, 5000.0), (0.01, 4900.0), (0.02, 4800.0), (0.03, 4700.0), (0.04, 4600.0), (1.0, 4500.0)]
    assert [goes_on(front, i) for i in range(6)] == [True, False, False, False, False, True]


def test_an_objective_that_never_changes_decides_nothing() -> None:
    points = [(float(i), 7.0) for i in range(6)]
    assert [goes_on(points, i) for i in range(6)] == [True, True, False, False, False, False]


def test_quality_is_maximised_and_energy_compared_as_a_logarithm() -> None:
    # Four on a front and five behind; three are good: the most accurate, the cheapest, and who is far from both. That
    # is the fourth, whose scaled losses are (0.5, 0.375), not the third with (0.05, 0.5); if linear, the other way.
    points = [(1.0, 1e8), (0.0, 1e0), (0.95, 1e4), (0.5, 1e3)] + [(0.0, 1e8)] * 5

    def last(newcomer: int) -> bool:
        rungs = Rungs(PLANE, shares=[0.5], quota=0)
        for number in [*(i for i in range(9) if i != newcomer), newcomer]:
            quality, energy = points[number]
            reason = rungs.decide(number, f"coding-{number}", 1, 2, {"quality": quality, "energy_nj": energy})
        return reason is None

    assert [last(number) for number in range(9)] == [True, True, False, True] + [False] * 5


def test_the_reason_says_where_and_why() -> None:
    rungs = Rungs([COST], quota=0)
    for number in range(14):
        rungs.decide(number, "rate" if number % 2 else "phase", 3, 20, {"cost": float(number if number < 11 else 99)})
    assert rungs.decide(14, "rate", 3, 20, {"cost": 10.5}) == (
        "stopped at rung 2 of 3 (epoch 3 of 20): rank 12 of 15 by Pareto rank, 6 of 8 among rate"
    )


@pytest.mark.parametrize("reduction", [2, 3, 5])
def test_no_trial_is_stopped_before_enough_have_come(reduction: int) -> None:
    rungs = single(reduction=reduction)
    decisions = [arrive(rungs, number, cost=float(number)) for number in range(reduction)]
    assert decisions == [True] * (reduction - 1) + [False]


def test_nothing_is_decided_between_rungs_or_on_vectors_that_are_no_result() -> None:
    rungs = Rungs(PLANE, quota=0)
    for number, epoch in enumerate(epoch for epoch in range(1, 21) if epoch not in (3, 9)):
        assert rungs.decide(number, "rate", epoch, 20, {"quality": 0.1, "energy_nj": 10.0 + number}) is None
    for number, bad in enumerate([{"quality": math.nan, "energy_nj": 1.0}, {"quality": 0.5, "energy_nj": 0.0}, {}]):
        assert rungs.decide(number, "rate", 3, 20, bad) is None
    assert rungs.state() == []


# Quotas


@pytest.mark.parametrize("quota", [0, 1, 2, 4])
def test_the_first_of_each_coding_are_never_stopped(quota: int) -> None:
    rungs = single(quota=quota)
    for number in range(30):
        arrive(rungs, number, cost=float(number % 5))
    slow = [arrive(rungs, 100 + k, cost=50.0 + k, coding="latency") for k in range(6)]
    # Each is the worst so far. Beyond the quota, the third has to go on when none did, and the sixth when one did.
    owed = {0: [2, 5], 1: [5], 2: [], 4: []}
    assert slow == [k < quota or k in owed[quota] for k in range(6)]


@given(
    arrivals=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=60),
    reduction=st.integers(2, 4),
    quota=st.integers(0, 3),
)
def test_of_each_coding_its_share_goes_on_in_any_order(
    arrivals: list[tuple[str, int]], reduction: int, quota: int
) -> None:
    rungs = single(reduction=reduction, quota=quota)
    seen: dict[str, list[bool]] = {}
    for number, (coding, cost) in enumerate(arrivals):
        passed = seen.setdefault(coding, [])
        passed.append(arrive(rungs, number, cost, coding))
        assert sum(passed) >= max(min(quota, len(passed)), len(passed) // reduction)


@pytest.mark.parametrize("seed", range(5))
def test_a_coding_that_starts_slowly_is_not_wiped_out(seed: int) -> None:
    rng = random.Random(seed)
    rungs, slow = single(quota=2), []
    for number in range(90):
        if number % 3:
            arrive(rungs, number, cost=rng.uniform(0, 10))
        else:
            slow.append((rng.uniform(50, 60), number))
            arrive(rungs, number, slow[-1][0], "latency")
    on = {record["number"] for record in rungs.state() if record["went_on"]}
    assert 10 <= sum(number in on for _, number in slow) <= 18  # of 30, a third and what a blind start costs
    assert min(slow)[1] in on  # and the best is among them
    assert sum(record["coding"] == "rate" and record["went_on"] for record in rungs.state()) <= 36


# Asynchronous arrival, restarts, resuming


def test_each_is_compared_with_those_that_came_before() -> None:
    costs = [5, 6, 7, 4, 8, 3, 9, 2]
    expected, passed = [], 0
    for k, cost in enumerate(costs):
        place = 1 + sum(before < cost for before in costs[:k])
        good = (k + 1) // 3
        expected.append(k + 1 < 3 or place <= good or passed < good)
        passed += expected[-1]
    rungs = single()
    assert [arrive(rungs, number, cost) for number, cost in enumerate(costs)] == expected
    assert expected == [True, True, False, True, False, True, False, True]


def test_trials_of_different_budgets_meet_at_the_same_share() -> None:
    rungs = Rungs([COST], quota=0)
    for number, budget in enumerate([20, 40, 60]):
        rungs.decide(number, "rate", round(0.15 * budget), budget, {"cost": float(number)})
    assert [(record["rung"], record["went_on"]) for record in rungs.state()] == [(1, True), (1, True), (1, False)]


def test_a_restarted_trial_replaces_its_record_and_keeps_its_pass() -> None:
    rungs = single()
    arrive(rungs, 0, cost=9.0)
    for number in range(1, 6):
        arrive(rungs, number, cost=float(number))
    assert arrive(rungs, 0, cost=99.0)
    assert [record["vector"] for record in rungs.state(0)] == [[99.0]]
    assert len(rungs.state()) == 6


def test_a_stopped_trial_that_comes_again_is_judged_again() -> None:
    rungs = single()
    assert [arrive(rungs, number, cost=float(number)) for number in range(4)] == [True, True, False, False]
    assert arrive(rungs, 3, cost=-1.0)
    assert [record["went_on"] for record in rungs.state(3)] == [True]
    assert not arrive(rungs, 2, cost=2.0)
    assert len(rungs.state()) == 4


arrivals_of_two = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([3, 9]), st.integers(0, 9), st.integers(1, 4)),
    min_size=2,
    max_size=40,
)


@given(arrivals=arrivals_of_two, data=st.data())
def test_rungs_rebuilt_from_json_in_any_order_decide_as_before(
    arrivals: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    def run(rungs: Rungs, numbers: range) -> Iterator[str | None]:
        for number in numbers:
            coding, epoch, quality, energy = arrivals[number]
            metrics = {"quality": float(quality), "energy_nj": 10.0**energy}
            yield rungs.decide(number // 2, coding, epoch, 20, metrics)

    half = len(arrivals) // 2
    rungs, rebuilt = Rungs(PLANE, quota=1), Rungs(PLANE, quota=1)
    list(run(rungs, range(half)))
    rebuilt.restore(data.draw(st.permutations(json.loads(json.dumps(rungs.state())))))
    later = range(half, len(arrivals))
    assert list(run(rungs, later)) == list(run(rebuilt, later))


def test_records_of_one_trial_are_copies_and_those_of_lost_rungs_are_left_out() -> None:
    rungs = Rungs([COST])
    for epoch in (3, 9):
        rungs.decide(7, "rate", epoch, 20, {"cost": 1.0})
        rungs.decide(8, "rate", epoch, 20, {"cost": 2.0})
    records = rungs.state(7)
    assert [(record["number"], record["rung"]) for record in records] == [(7, 1), (7, 2)]
    fewer = Rungs([COST], shares=[0.1, 0.2])
    fewer.restore(records)
    records[0]["vector"][0] = 5.0
    assert fewer.state() == rungs.state(7)[:1]


@given(arrivals=arrivals_of_two)
def test_plugin_decides_as_its_rungs_do(arrivals: list[tuple[str, int, int, int]]) -> None:
    rungs = Rungs(PLANE, shares=[0.2, 0.4], reduction=2, quota=1)
    rule = Halving(HalvingConfig(reduction=2, quota=1), shares=[0.2, 0.4])
    rule.begin(PLANE, chance=0.1, best=1.0)
    for number, (coding, epoch, quality, energy) in enumerate(arrivals):
        metrics = {"quality": float(quality), "energy_nj": 10.0**energy}
        trial = Trial(number // 2, "RUNNING", {"coding": coding, "training.epochs": 20}, metrics, epoch=epoch)
        assert rule.decide(trial, {epoch: metrics}) == rungs.decide(number // 2, coding, epoch, 20, metrics)
        assert (rule.state(number // 2) or []) == rungs.state(number // 2)


def test_records_that_are_not_of_a_rung_are_refused_and_none_is_added() -> None:
    rungs = single()
    arrive(rungs, 0, 5.0)
    (record,) = rungs.state()
    odd: list[Any] = [None, [], {}, *({**record, name: None} for name in record), {**record, "vector": [1.0, 2.0]},
                      {**record, "vector": [math.nan]}, {**record, "rung": -1}, {**record, "number": True}]  # fmt: skip
    for each in odd:
        other = single()
        with pytest.raises(ValueError, match="is not a record of a rung"):
            other.restore([record, each])
        assert other.state() == []
