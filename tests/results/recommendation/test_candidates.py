"""Candidates of a recommendation: within limits, the best of each coding, of each training one, and clear refusals."""

from __future__ import annotations

import pytest

from spikefront.results.recommendation.candidates import (
    along_energy,
    chosen,
    overstepped,
    ranked,
    refuse_empty,
    within,
)
from spikefront.searchspace import ENERGY, Objective, Trial
from spikefront.searchspace.objectives import Limits

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
ERROR = Objective("quality", maximize=False, worst=180.0, best=0.0)
AXES = (QUALITY, ENERGY)


def trial(number: int, coding: str, quality: float, energy: float, latency: float = 4.0) -> Trial:
    metrics = {"quality": quality, "energy_nj": energy, "latency_steps": latency}
    return Trial(number, candidate={"coding": coding, "tau": float(number)}, metrics=metrics)


TRIALS = [
    trial(0, "sac", 0.90, 10.0),
    trial(1, "sac", 0.95, 50.0),
    trial(2, "sac", 0.93, 40.0),
    trial(3, "sac", 0.95, 45.0, latency=16.0),
    trial(4, "css", 0.80, 5.0),
    trial(5, "css", 0.99, 500.0),
    trial(6, "gac", 0.70, 400.0),
]


def numbers(trials: list[Trial]) -> list[int]:
    return [one.number for one in trials]


def test_within_a_budget_are_those_that_the_search_measured_so() -> None:
    assert numbers(within(TRIALS, Limits(max_energy_nj=45.0), AXES)) == [0, 2, 3, 4]
    assert numbers(within(TRIALS, Limits(max_energy_nj=45.0, max_latency_steps=8), AXES)) == [0, 2, 4]
    assert numbers(within(TRIALS, Limits(min_quality=0.93), AXES)) == [1, 2, 3, 5]
    assert numbers(within(TRIALS, Limits(min_quality=0.8), (ERROR, ENERGY))) == [4, 6]


def test_the_same_candidate_with_the_same_result_is_there_once() -> None:
    again = Trial(9, candidate=TRIALS[0].candidate, metrics=TRIALS[0].metrics)
    assert numbers(within([TRIALS[0], again], Limits(), AXES)) == [0]


def test_the_best_of_each_coding_are_chosen_of_equals_the_cheaper() -> None:
    ranking = ranked(TRIALS, QUALITY)
    assert {name: numbers(each) for name, each in ranking.items()} == {
        "css": [5, 4],
        "gac": [6],
        "sac": [3, 1, 2, 0],
    }
    assert numbers(chosen(ranking, 2)) == [5, 4, 6, 3, 1]
    assert numbers(chosen(ranking, 1)) == [5, 6, 3]
    assert numbers(chosen(ranking, 2, {"3", "6"})) == [5, 4, 1, 2]  # the next take their places
    assert {name: numbers(each) for name, each in ranked(TRIALS, ERROR).items()}["css"] == [4, 5]


def test_for_every_budget_there_is_the_best_of_each_coding() -> None:
    # the best quality within a budget grows at 5 (css), 10 (sac), 40, 45 and 500 nJ
    assert numbers(along_energy(TRIALS, AXES, 1)) == [4, 0, 2, 3, 6, 5]
    assert numbers(along_energy(TRIALS[:1], AXES, 1)) == [0]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(max_energy_nj=1.0), "--max-energy 1nJ: no candidate of search 's' costs so little; the cheapest takes "
         "5.00 nJ (trial 4)"),
        (Limits(max_energy_nj=20.0, min_quality=0.94), "--max-energy 20nJ: no candidate of quality 0.94 of search 's' "
         "costs so little; the cheapest takes 45.0 nJ (trial 3)"),
        (Limits(max_energy_nj=47.0, min_quality=0.94, max_latency_steps=8), "--max-energy 47nJ: no candidate of "
         "quality 0.94 within 8 steps of search 's' costs so little; the cheapest takes 50.0 nJ (trial 1)"),
        (Limits(max_latency_steps=2), "--max-latency 2: no candidate of search 's' answers so soon; the quickest takes "
         "4 steps (trial 0)"),
        (Limits(min_quality=0.999), "--min-quality 0.999: no candidate of search 's' is that good; the best reaches "
         "0.9900 for 500 nJ (trial 5)"),
    ],
)  # fmt: skip
def test_a_budget_that_nothing_keeps_to_is_one_line_with_the_nearest(limits: Limits, said: str) -> None:
    assert within(TRIALS, limits, AXES) == []
    assert refuse_empty("s", TRIALS, limits, QUALITY).on_command_line() == said


def test_a_search_without_results_says_so() -> None:
    assert "nothing to compare" in refuse_empty("s", [], Limits(max_energy_nj=1.0), QUALITY).on_command_line()


def test_what_is_overstepped_is_said_with_its_value() -> None:
    assert overstepped({"energy_nj": 12.0, "latency_steps": 4.0}, Limits(max_energy_nj=12.0)) == ""
    assert overstepped({"energy_nj": 12.1}, Limits(max_energy_nj=12.0)) == "costs 12.1 nJ"
    assert overstepped({"energy_nj": 1.0, "latency_steps": 9.0}, Limits(max_latency_steps=8)) == "takes 9 steps"
    assert overstepped({}, Limits(max_energy_nj=12.0)) == "has no energy"
    assert overstepped({}, Limits()) == ""
