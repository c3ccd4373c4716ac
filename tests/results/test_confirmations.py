"""Means over seeds, and the front of the means."""

from __future__ import annotations

import math

import pytest

from spikefront.results.confirmations import confirm_front, optimism, rank_changes, spread_of, summary
from spikefront.searchspace import ENERGY, Objective, Trial

OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


def at(quality: float, energy: float) -> dict[str, float]:
    return {"quality": quality, "energy_nj": energy}


def test_spread_of_three_values_is_students() -> None:
    found = spread_of([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.302653; half = 4.302653 * 1 / sqrt(3) = 2.484138
    assert (found.mean, found.sd, found.seeds) == (2.0, 1.0, 3)
    assert found.low == pytest.approx(2.0 - 2.484138, abs=1e-5)
    assert found.high == pytest.approx(2.0 + 2.484138, abs=1e-5)


def test_one_seed_has_no_interval() -> None:
    found = spread_of([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.sd)
    assert math.isnan(found.low)


@pytest.mark.parametrize(
    ("values", "least", "most", "interval"),
    [
        # t(0.975, 1) = 12.7062; of two values the half width is 12.7062 * |a - b| / 2
        ([0.97, 0.99], 0.0, 1.0, (0.98 - 0.127062, 1.0)),
        ([0.02, 0.04], 0.0, 1.0, (0.0, 0.03 + 0.127062)),
        ([0.97, 0.99], -math.inf, math.inf, (0.98 - 0.127062, 0.98 + 0.127062)),
    ],
)
def test_an_interval_ends_where_the_metric_does(
    values: list[float], least: float, most: float, interval: tuple[float, float]
) -> None:
    found = spread_of(values, least, most)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-6)


@pytest.mark.parametrize(
    ("worst", "best", "values", "cut"),
    [
        (0.0, 1.0, [0.02, 0.98], (True, True)),  # an accuracy, and an R2 above 0
        (0.0, 1.0, [-0.3, 0.98], (False, True)),  # an R2 can be below 0, which is where hypervolume begins
        (180.0, 0.0, [2.0, 100.0], (True, True)),  # an error in degrees
    ],
)
def test_an_interval_of_quality_ends_at_its_best_and_at_its_worst_unless_a_seed_was_worse(
    worst: float, best: float, values: list[float], cut: tuple[bool, bool]
) -> None:
    objectives = (Objective("quality", maximize=best > worst, worst=worst, best=best), ENERGY)
    repeats = {0: {seed: {"quality": value, "energy_nj": 10.0 * value + 10.0} for seed, value in enumerate(values)}}
    (member,) = confirm_front([Trial(0, metrics=at(0.5, 10.0))], repeats, objectives)
    quality, energy = member.spreads["quality"], member.spreads["energy_nj"]
    low, high = sorted((worst, best))
    assert (quality.low == low, quality.high == high) == cut
    assert energy.low == 0.0  # a price is not negative
    assert energy.high > energy.mean


SELECTED = [Trial(n, metrics=at(*one)) for n, one in enumerate([(0.80, 10.0), (0.90, 100.0), (0.95, 1000.0)])]
REPEATS = {
    0: {1: at(0.82, 10.0), 2: at(0.78, 10.0)},  # 0.80
    1: {1: at(0.93, 100.0), 2: at(0.91, 100.0)},  # 0.92
    2: {1: at(0.90, 1000.0), 2: at(0.92, 1000.0)},  # 0.91: dearer and worse than trial 1
}


def test_a_member_that_another_beats_on_the_means_falls_off() -> None:
    members = confirm_front(SELECTED, REPEATS, OBJECTIVES)
    assert [(member.trial.number, member.stays, member.beaten_by) for member in members] == [
        (0, True, None),
        (1, True, None),
        (2, False, 1),
    ]
    assert members[1].spreads["quality"].mean == pytest.approx(0.92)


def test_a_changed_order_and_the_optimism_of_selection_are_counted() -> None:
    members = confirm_front(SELECTED, REPEATS, OBJECTIVES)
    assert rank_changes(members) == (1, 3)
    assert optimism(members) == pytest.approx((0.0 - 0.02 + 0.04) / 3)


def test_a_member_whose_repeats_all_failed_is_left_out_and_named() -> None:
    members = confirm_front(SELECTED, {**REPEATS, 2: {}}, OBJECTIVES)
    assert [member.trial.number for member in members] == [0, 1]
    said = summary(members, {2: "RuntimeError: no"})
    assert said[0] == "2 of 3 members stay on the front"
    assert "trial 2 could not be confirmed: RuntimeError: no" in said


def test_the_summary_names_the_members_that_fell() -> None:
    said = summary(confirm_front(SELECTED, REPEATS, OBJECTIVES), {})
    assert said[:2] == [
        "2 of 3 members stay on the front",
        "trial 2 fell off: trial 1 is better on the test split, on the mean over seeds",
    ]
    assert said[-1] == "1 of 3 pairs of members changed their order in quality"
    assert "0.0067 worse than at selection" in said[2]


@pytest.mark.parametrize(
    ("maximize", "than", "why"),
    [(True, "worse", "in part luck"), (False, "better", "has the validation samples, too")],
)
def test_the_summary_knows_which_way_quality_points(maximize: bool, than: str, why: str) -> None:
    axis = Objective("quality", maximize=maximize, worst=0.0 if maximize else 1.0, best=1.0 if maximize else 0.0)
    members = confirm_front([Trial(0, metrics=at(0.5, 10.0))], {0: {1: at(0.4, 10.0)}}, (axis, ENERGY))
    (said,) = [sentence for sentence in summary(members, {}, maximize) if "on the test split is" in sentence]
    assert said.startswith(f"quality on the test split is 0.1000 {than} than at selection")
    assert said.endswith(why)
