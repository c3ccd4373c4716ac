"""How far a search's front is trusted, and which command decides what it does not."""

from __future__ import annotations

import pytest

from spikefront.results.recommendation.trust import deciding, round_up, tries, trust
from spikefront.searchspace import ENERGY, Front, Objective, Trial

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)


def trials(*each: tuple[str, str]) -> list[Trial]:
    metrics = {"quality": 0.9, "energy_nj": 14.9}
    return [Trial(at, state, {"coding": coding, "tau": at}, metrics) for at, (coding, state) in enumerate(each)]


def test_tries_are_trials_with_a_result() -> None:
    found = trials(("sac", "COMPLETE"), ("css", "PRUNED"), ("css", "FAIL"), ("sac", "COMPLETE"), ("gac", "RUNNING"))
    assert tries(found) == {"css": 1, "sac": 2}


@pytest.mark.parametrize(
    ("by_coding", "said"),
    [
        ({}, ""),
        ({"css": 1, "sac": 6}, "2 codings, 1 to 6 tries each, one seed: which coding leads is not decided"),
        ({"css": 1, "sac": 1}, "2 codings, 1 try each, one seed: which coding leads is not decided"),
        ({"css": 3, "sac": 3}, "2 codings, 3 tries each, one seed: which coding leads is not decided"),
        ({"css": 1}, "1 coding, 1 try, one seed: the front under other seeds may be another"),
    ],
)
def test_what_is_said_counts_codings_and_tries(by_coding: dict[str, int], said: str) -> None:
    assert trust(by_coding) == said


def test_the_command_has_the_budget_of_the_knee_rounded_up() -> None:
    front = Front((QUALITY, ENERGY), trials(("sac", "COMPLETE")))
    assert deciding({"css": 1, "sac": 1}, front) == ["spikefront", "recommend", "--max-energy", "20nJ"]
    assert deciding({"sac": 1}, front) == ["spikefront", "confirm"]
    assert deciding({"css": 1, "sac": 1}, Front((QUALITY, ENERGY))) == ["spikefront", "recommend"]


@pytest.mark.parametrize(
    ("value", "rounded"), [(14.9, 20), (20, 20), (1.0, 1), (0.99, 1), (0.011, 0.02), (5.01, 10), (230.0, 500)]
)
def test_budgets_are_rounded_up_to_one_two_or_five(value: float, rounded: float) -> None:
    assert round_up(value) == pytest.approx(rounded)
