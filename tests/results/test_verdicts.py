"""Statistics of few repeats, against tables, arithmetic and simulated confirmations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikefront.results.verdicts import (
    LEVEL,
    discordant_error,
    holm,
    paired_p,
    place_of,
    posterior_draws,
    power,
    probability_best,
    probability_on_front,
    rivals,
    seeds_for,
    unequal_variances,
)

CHEAP_THEN_DEAR = [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("seeds", "powers"),
    [
        (3, (0.1513, 0.3218, 0.5259, 0.7122)),
        (5, (0.2390, 0.5797, 0.8619, 0.9748)),
        (8, (0.3567, 0.8150, 0.9841, 0.9996)),
        (10, (0.4273, 0.8975, 0.9966, 1.0)),
        (20, (0.6951, 0.9961)),
    ],
)
def test_the_power_of_a_paired_test_is_that_of_the_table(seeds: int, powers: tuple[float, ...]) -> None:
    found = [power(seeds, effect) for effect in (0.5, 1.0, 1.5, 2.0)[: len(powers)]]
    assert found == pytest.approx(powers, abs=6e-5)


@pytest.mark.parametrize(
    ("effect", "seeds", "at_a_quarter"), [(0.25, 101, 155), (0.5, 27, 41), (0.75, 13, 20), (1, 8, 13), (1.5, 5, 7)]
)
def test_the_seeds_for_a_power_of_four_fifths_are_those_of_the_table(
    effect: float, seeds: int, at_a_quarter: int
) -> None:
    assert seeds_for(effect) == seeds
    assert seeds_for(effect, alpha=0.05 / 4) == at_a_quarter


def test_no_number_of_seeds_shows_no_difference() -> None:
    assert seeds_for(2.0) == 4
    assert seeds_for(2.0, alpha=0.05 / 4) == 6
    assert seeds_for(0.0) is None
    assert seeds_for(math.nan) is None
    assert seeds_for(1e-4) is None
    assert seeds_for(0.25, most=100) is None
    assert seeds_for(0.25, most=101) == 101


def test_the_error_of_discordant_counts_by_hand() -> None:
    # b = 120, c = 90, N = 10,000: sqrt(210 - 900 / 10,000) / 10,000
    assert discordant_error(120, 90, 10_000) == pytest.approx(0.00144883, abs=5e-9)
    assert discordant_error(0, 0, 100) == 0


def test_a_paired_test_by_hand() -> None:
    # differences 1, 2, 3: t = 2 / (1 / sqrt(3)); of 2 degrees of freedom P(T > t) = 1/2 - t / (2 sqrt(2 + t^2))
    t = 2 * math.sqrt(3)
    by_hand = 0.5 - t / (2 * math.sqrt(2 + t * t))
    assert paired_p([11.0, 22.0, 33.0], [10.0, 20.0, 30.0]) == pytest.approx(by_hand, abs=1e-12)
    assert paired_p([10.0, 20.0, 30.0], [11.0, 22.0, 33.0]) == pytest.approx(1 - by_hand, abs=1e-12)
    assert paired_p([11.0, 22.0, math.nan, 33.0], [10.0, 20.0, 5.0, 30.0]) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [
        ([0.3, 0.3], [0.1, 0.1], 0.0),  # the same in every pair, but for rounding
        ([0.1, 0.2], [0.3, 0.4], 1.0),
        ([0.5, 0.5], [0.5, 0.5], 0.5),
        ([0.5], [0.1], math.nan),
        ([], [], math.nan),
        ([math.nan, 0.5], [0.1, 0.1], math.nan),
    ],
)
def test_a_paired_test_without_spread_or_pairs_is_defined(one: list[float], other: list[float], p: float) -> None:
    assert paired_p(one, other) == pytest.approx(p, abs=0, nan_ok=True)


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 times 3, 2, 1, none below the one before
    assert holm([0.03, 0.01, 0.02]).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    found = holm([0.02, math.nan, 0.5])
    assert found[[0, 2]].tolist() == pytest.approx([0.04, 0.5])
    assert math.isnan(found[1])
    assert holm([]).tolist() == []


def test_rivals_cost_no_more_on_any_axis() -> None:
    costs = [[1.0, 5.0], [2.0, 5.0], [2.0, 1.0], [2.0, 1.0]]
    assert rivals(costs).tolist() == [
        [False] * 4,
        [True, False, True, True],
        [False, False, False, True],
        [False, False, True, False],
    ]


def test_the_posterior_of_two_arms_is_students() -> None:
    from scipy.stats import t

    # means 2 and 2.5, both of variance 1: pooled 1, df 4, and the difference has a scale of sqrt(2 / 3)
    draws = posterior_draws([[1.0, 2.0, 3.0], [1.5, 2.5, 3.5]], draws=40_000)
    expected = t.cdf(0.5 / math.sqrt(2 / 3), 4)
    assert probability_best(draws) == pytest.approx([1 - expected, expected], abs=0.01)
    assert probability_on_front(draws, CHEAP_THEN_DEAR) == pytest.approx([1, expected], abs=0.01)


@pytest.mark.parametrize("sizes", [(5, 5), (2, 3), (4, 6, 3, 9)])
def test_variances_are_unequal_where_bartletts_test_says_so(sizes: tuple[int, ...]) -> None:
    from scipy.stats import bartlett

    random, found = np.random.default_rng(3), []
    for _ in range(100):
        groups = [random.normal(0, 10 ** random.uniform(-1, 1), size) for size in sizes]
        squares = [((group - group.mean()) ** 2).sum() for group in groups]
        found.append(unequal_variances(squares, [size - 1 for size in sizes]))
        assert found[-1] == (bartlett(*groups).pvalue < 0.01)
    assert 5 < sum(found) < 95
    assert not unequal_variances([1.0], [4])


def test_unequal_spreads_are_not_pooled() -> None:
    from scipy.stats import t

    wide, narrow = [0.0, 40.0, 80.0, 120.0], [9.9, 10.0, 10.0, 10.1]
    draws = posterior_draws([narrow, wide], draws=40_000)
    low, high = np.quantile(draws[:, 0], (0.05, 0.95))
    half = t.ppf(0.95, 3) * np.std(narrow, ddof=1) / 2
    assert (low, high) == pytest.approx((10 - half, 10 + half), rel=0, abs=half / 10)


def test_probabilities_sum_to_one_and_ignore_what_is_added_to_all() -> None:
    random = np.random.default_rng(0)
    arms = [random.normal(mean, 1, size) for mean, size in ((0.0, 5), (0.5, 4), (0.2, 5), (0.9, 3))]
    best = probability_best(posterior_draws(arms))
    assert best.sum() == pytest.approx(1, abs=1e-12)
    assert ((best > 0) & (best < 1)).all()
    moved = posterior_draws([arm + 64 for arm in arms])
    assert probability_best(moved) == pytest.approx(best, abs=1e-3)
    costs = [[1.0], [2.0], [3.0], [4.0]]
    on_front = probability_on_front(posterior_draws(arms), costs)
    assert on_front[0] == 1
    assert probability_on_front(moved, costs) == pytest.approx(on_front, abs=1e-3)


@pytest.mark.parametrize("values", [[0.9, 0.92, 0.91, 0.93, 0.9], [0.9, 0.9, 0.9]])
def test_identical_arms_tie(values: list[float]) -> None:
    draws = posterior_draws([values, values])
    assert probability_best(draws) == pytest.approx([0.5, 0.5], abs=0.03)
    on_front = probability_on_front(draws, CHEAP_THEN_DEAR)
    assert on_front == pytest.approx([1, 0.5], abs=0.03)
    assert [place_of(each) for each in on_front] == ["stays", "undecided"]


def test_a_tie_at_equal_cost_takes_none_off_the_front() -> None:
    assert probability_on_front(posterior_draws([[0.9, 0.9], [0.9, 0.9]]), [[1.0], [1.0]]).tolist() == [1, 1]


def test_without_spread_the_means_decide() -> None:
    draws = posterior_draws([[0.9, 0.9], [0.8, 0.8], [0.95, 0.95]])
    assert probability_on_front(draws, [[1.0], [2.0], [3.0]]).tolist() == [1, 0, 1]
    assert probability_best(draws).tolist() == [0, 0, 1]


def test_arms_with_one_repeat_or_equal_ones_take_the_pooled_variance_of_the_others() -> None:
    varied = [0.1, 0.9, 0.2, 0.8]
    draws = posterior_draws([[0.5], [0.5, 0.5, 0.5, 0.5], varied])
    spread = np.quantile(draws - 0.5, 0.9, axis=0)
    # t(0.9, 3) = 1.6377; of one repeat the mean varies twice as much as of four
    half = 1.6377 * np.std(varied, ddof=1) / 2
    assert spread == pytest.approx([2 * half, half, half], rel=0.05)


def test_one_repeat_of_each_decides_nothing() -> None:
    draws = posterior_draws([[0.9], [0.99]])
    assert np.isnan(draws).all()
    found = probability_on_front(draws, CHEAP_THEN_DEAR)
    assert found[0] == 1  # nothing costs less
    assert place_of(found[1]) == "undecided"
    assert np.isnan(probability_best(draws)).all()


@pytest.mark.parametrize("worse", [math.nan, math.inf, -math.inf])
def test_a_repeat_that_is_not_finite_has_failed(worse: float) -> None:
    whole = posterior_draws([[0.9, 0.91], [0.8, 0.81, 0.82]])
    assert (posterior_draws([[0.9, worse, 0.91], [0.8, 0.81, 0.82]]) == whole).all()
    best = probability_best(posterior_draws([[worse, worse], [0.1, 0.2]]))
    assert best.tolist() == [0, 1]
    assert probability_on_front(posterior_draws([[0.1, 0.2], [worse]]), CHEAP_THEN_DEAR).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("probability", "place"),
    [
        (1.0, "stays"),
        (0.975, "stays"),
        (0.974, "undecided"),
        (0.026, "undecided"),
        (0.0, "falls"),
        (math.nan, "undecided"),
    ],
)
def test_the_levels(probability: float, place: str) -> None:
    assert place_of(probability) == place


def simulated(difference: float, runs: int, seeds: int = 5) -> list[str]:
    """Return what is said of the more expensive of two members, of normal repeats, in many confirmations."""
    values = np.random.default_rng(1).normal(0.9, 0.005, (runs, 2, seeds))
    values[:, 1] += difference
    found = (probability_on_front(posterior_draws(pair), CHEAP_THEN_DEAR)[1] for pair in values)
    return [place_of(each) for each in found]


def test_two_equal_members_seldom_stay_or_fall() -> None:
    places = simulated(0.0, 2000)
    stays, falls = (sum(place == name for place in places) / 2000 for name in ("stays", "falls"))
    # 1 - LEVEL on either side; the standard error of 2,000 is 0.0035
    assert stays == pytest.approx(1 - LEVEL, abs=0.012)
    assert falls == pytest.approx(1 - LEVEL, abs=0.012)
    assert stays + falls < 0.1


def test_a_clear_difference_is_decided() -> None:
    # two standard deviations: the power of the unpaired t test of 5 and 5 at 2.5 % is 0.79
    assert sum(place == "stays" for place in simulated(0.01, 200)) / 200 == pytest.approx(0.79, abs=0.1)
