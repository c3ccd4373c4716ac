"""Allocation of trainings and statements about codings, against arithmetic, tables and simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikefront.results.recommendation.spending import BOUNDARY, Standing, level, standing, tied, top_two
from spikefront.results.verdicts import LEVEL, posterior_draws


def test_the_level_falls_from_certainty_to_that_of_the_boundary() -> None:
    # Phi(1.96) = 0.975, Phi(1.96 / sqrt(1 / 2)) = Phi(2.7718) = 0.99721 (tables of the normal distribution)
    assert level(0) == 1
    assert level(1) == pytest.approx(LEVEL, abs=1e-6)
    assert level(0.5) == pytest.approx(0.99721, abs=1e-5)
    assert level(2.0) == level(1.0)
    assert 2 * (1 - level(1)) == pytest.approx(0.05, abs=1e-6)  # a side, by the reflection principle


def test_a_brownian_motion_passes_the_boundary_in_one_case_of_twenty_a_side() -> None:
    # sums of 200 steps: fewer pass than by the reflection principle, which is of a motion without steps
    steps = np.random.default_rng(0).normal(0, 1, (20_000, 200)) / math.sqrt(200)
    passed = (steps.cumsum(axis=1) >= BOUNDARY).any(axis=1).mean()
    assert 0.04 < passed < 0.053


def test_a_group_is_worth_as_much_as_the_best_of_its_candidates_in_each_draw() -> None:
    draws = [[1.0, 4.0, 3.0], [5.0, 1.0, 3.0], [0.0, 2.0, 3.0], [9.0, 0.0, 3.0]]
    found = standing(draws, [0, 0, 1])
    assert found.probabilities.tolist() == [0.75, 0.25]  # 4, 5 and 9 beat 3; 2 does not
    assert (found.best, found.rival) == (0, 1)
    assert found.lead == pytest.approx((1 + 2 - 1 + 6) / 4)
    assert standing(draws, [0, 1, 2]).probabilities.tolist() == [0.5, 0.25, 0.25]
    without = standing(draws, [0, 0, 1], [False, True, True])
    assert without.probabilities.tolist() == [0.25, 0.75]  # only 4 beats 3


def test_probabilities_sum_to_one_and_do_not_change_by_a_constant() -> None:
    random = np.random.default_rng(0)
    repeats = [random.normal(90 + group, 0.5, 4) for group in (0.0, 0.1, 0.2, -1.0)]
    groups = [0, 1, 1, 2]
    found, shifted = (standing(posterior_draws([each + by for each in repeats]), groups) for by in (0.0, 1000.0))
    assert found.probabilities.sum() == pytest.approx(1)
    assert shifted.probabilities == pytest.approx(found.probabilities)
    assert (shifted.lead, shifted.low, shifted.high) == pytest.approx((found.lead, found.low, found.high), abs=1e-9)


def test_identical_candidates_tie() -> None:
    same = [0.9, 0.91, 0.92]
    found = standing(posterior_draws([same, same]), [0, 1])
    assert found.probabilities.tolist() == [0.5, 0.5]
    assert found.low < 0 < found.high
    assert tied(found, 1.0) == [0, 1]
    certain = standing(posterior_draws([[0.9, 0.9, 0.9], [0.9, 0.9, 0.9]]), [0, 1])  # silent networks
    assert certain.probabilities.tolist() == [0.5, 0.5]
    assert (certain.lead, tied(certain, 1.0)) == (0.0, [0, 1])


def test_a_repeat_that_is_not_finite_makes_nobody_the_best() -> None:
    found = standing(posterior_draws([[0.9, math.nan, 0.9], [0.95, 0.96, 0.94], [math.nan] * 3]), [0, 1, 2])
    assert (found.best, found.rival) == (1, 0)
    assert found.probabilities[2] == 0


def test_nothing_is_said_where_nothing_has_two_repeats() -> None:
    found = standing(posterior_draws([[0.9], [0.5]]), [0, 1])
    assert np.isnan(found.probabilities).all()
    assert sorted(tied(found, 1.0)) == [0, 1]


def test_one_group_alone_is_the_best_and_leads_nobody() -> None:
    found = standing(posterior_draws([[0.9, 0.91], [0.8, 0.81]]), [0, 0])
    assert (found.probabilities.tolist(), found.rival) == ([1.0], None)
    assert math.isnan(found.lead)
    assert tied(found, 0.1) == [0]


def at(*probabilities: float) -> Standing:
    best, rival = (int(place) for place in np.argsort(probabilities)[::-1][:2])
    return Standing(np.array(probabilities), best, 1.0, 0.5, 1.5, rival)


@pytest.mark.parametrize(
    ("probabilities", "share", "near", "expected"),
    [
        ((0.98, 0.015, 0.005), 1.0, False, [0]),
        ((0.98, 0.015, 0.005), 0.5, False, [0, 1]),  # 0.997 are needed half-way: not decided, whoever is next
        ((0.998, 0.0015, 0.0005), 0.5, False, [0]),
        ((0.9, 0.06, 0.04), 1.0, False, [0, 1]),
        ((0.1, 0.5, 0.4), 1.0, False, [1, 2, 0]),
        ((0.99, 0.01, 0.0), 1.0, [False, False, True], [0, 2]),  # surely behind, but by less than counts
    ],
)
def test_who_ties(probabilities: tuple[float, ...], share: float, near: bool | list[bool], expected: list[int]) -> None:
    assert tied(at(*probabilities), share, near) == expected


def test_trainings_go_to_those_that_are_hard_to_tell_apart() -> None:
    random = np.random.default_rng(0)
    draws = np.random.default_rng(1).normal([90.0, 89.9, 80.0, 89.95], 0.3, (4000, 4))
    counts = np.bincount(top_two(draws, [0, 1, 2, 0], random, 3000), minlength=4) / 3000
    assert counts[2] == 0
    # half go to the leader, half to the leader of the other group
    assert counts[1] == pytest.approx(0.5, abs=0.03)
    assert counts[0] + counts[3] == pytest.approx(0.5, abs=0.03)
    only = top_two(draws, [0, 1, 2, 0], random, 50, [False, False, True, False])
    assert set(only) == {2}  # nobody of another group: the leader itself


def test_of_two_equal_ones_a_best_is_named_as_often_as_it_is_said() -> None:
    # 5 % a side at P >= 0.95: 10.5 % of 20,000 simulated runs of five seeds each, by an implementation of its own
    random = np.random.default_rng(3)
    named = [
        standing(posterior_draws(list(random.normal(90, 0.5, (2, 5)))), [0, 1]).probabilities.max() >= 0.95
        for _ in range(2000)
    ]
    assert np.mean(named) == pytest.approx(0.105, abs=0.02)


def test_the_interval_of_a_lead_is_students_and_agrees_with_the_level() -> None:
    from scipy.stats import t

    # means 3 and 2, both of variance 1, five repeats each: the difference has a scale of sqrt(2 / 5) and df 8
    one = np.array([-1.2649110640673518, -0.6324555320336759, 0.0, 0.6324555320336759, 1.2649110640673518])
    found = standing(posterior_draws([3 + one, 2 + one], draws=40_000), [0, 1])
    half = t.ppf(0.95, 8) * math.sqrt(2 / 5)
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half), abs=0.02)
    assert found.probabilities[0] == pytest.approx(t.cdf(1 / math.sqrt(2 / 5), 8), abs=0.005)
