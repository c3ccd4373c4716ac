"""Means over seeds, and who stays on the front."""

from __future__ import annotations

import math

import pytest

from spikefront.results.confirmed import Spread, confirm_front, optimism, rank_changes, verdict
from spikefront.searchspace import ENERGY, Objective

OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


def at(quality: float, energy: float) -> dict[str, float]:
    return {"quality": quality, "energy_nj": energy}


def test_spread_of_three_values_is_students() -> None:
    found = Spread.of([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.302653; half = 4.302653 * 1 / sqrt(3) = 2.484138
    assert (found.mean, found.sd, found.seeds) == (2.0, 1.0, 3)
    assert found.low == pytest.approx(2.0 - 2.484138, abs=1e-5)
    assert found.high == pytest.approx(2.0 + 2.484138, abs=1e-5)


def test_one_seed_has_no_interval() -> None:
    found = Spread.of([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.sd)
    assert math.isnan(found.low)


SELECTED = {0: at(0.80, 10.0), 1: at(0.90, 100.0), 2: at(0.95, 1000.0)}
REPEATS = {
    0: {1: at(0.82, 10.0), 2: at(0.78, 10.0)},  # 0.80
    1: {1: at(0.93, 100.0), 2: at(0.91, 100.0)},  # 0.92
    2: {1: at(0.90, 1000.0), 2: at(0.92, 1000.0)},  # 0.91: dearer and worse than trial 1
}


def test_a_member_that_another_beats_on_the_means_falls_off() -> None:
    members = confirm_front(SELECTED, REPEATS, OBJECTIVES)
    assert [(member.trial, member.stays, member.beaten_by) for member in members] == [
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
    assert [member.trial for member in members] == [0, 1]
    said = verdict(members, {2: "RuntimeError: no"})
    assert said[0] == "2 of 3 members stay on the front"
    assert "trial 2 could not be confirmed: RuntimeError: no" in said


def test_the_verdict_names_who_fell_and_by_whom() -> None:
    said = verdict(confirm_front(SELECTED, REPEATS, OBJECTIVES), {})
    assert said[:2] == [
        "2 of 3 members stay on the front",
        "trial 2 fell off: trial 1 is better on the test split, on the mean over seeds",
    ]
    assert said[-1] == "1 of 3 pairs of members changed their order in quality"
    assert "0.0067 below that at selection" in said[2]
