"""Successive halving as a stopping rule: what it compares, and what it stores of a trial."""

from __future__ import annotations

import json
import math

import pytest

from spikefront.plugins.stopping.halving import Halving
from spikefront.searchspace import ENERGY, Objective, Trial, UsageError


def halving() -> Halving:
    rule = Halving()
    rule.begin((Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY), chance=0.1, best=1.0)
    return rule


@pytest.mark.parametrize(("maximize", "best"), [(True, 0.75), (False, 0.25)])
def test_the_quality_compared_is_the_best_so_far_and_all_else_of_the_epoch(maximize: bool, best: float) -> None:
    quality = Objective("quality", maximize, worst=0.0 if maximize else 1.0, best=1.0 if maximize else 0.0)
    rule = Halving()
    rule.begin((quality, ENERGY), chance=0.1, best=1.0)
    qualities = {1: 0.75, 2: math.nan, 3: 0.25, 4: 0.5, 5: 0.99 if maximize else 0.01}
    history = {epoch: {"quality": value, "energy_nj": 10.0**epoch} for epoch, value in qualities.items()}
    trial = Trial(0, "RUNNING", {"coding": "rate", "training.epochs": 24}, history[4], epoch=4)
    assert rule.decide(trial, history) is None
    assert rule.state(0) == [{"number": 0, "coding": "rate", "rung": 1, "vector": [best, 4.0], "went_on": True}]


def test_an_epoch_without_a_quality_is_no_result_whatever_came_before() -> None:
    for metrics in ({"quality": math.nan, "energy_nj": 1.0}, {"energy_nj": 1.0}):
        rule = halving()
        trial = Trial(0, "RUNNING", {"coding": "rate", "training.epochs": 20}, metrics, epoch=3)
        assert rule.decide(trial, {1: {"quality": 0.9, "energy_nj": 1.0}, 3: metrics}) is None
        assert rule.state(0) is None


def test_state_of_a_trial_comes_back_under_its_new_number() -> None:
    metrics = {"quality": 0.5, "energy_nj": 100.0}
    first, second = halving(), halving()
    first.decide(Trial(4, "RUNNING", {"coding": "rate", "training.epochs": 20}, metrics, epoch=3), {3: metrics})
    state = json.loads(json.dumps(first.state(4)))
    second.restore(9, state)
    assert state == [{"number": 4, "coding": "rate", "rung": 1, "vector": [0.5, 2.0], "went_on": True}]
    assert second.state(9) == [{**state[0], "number": 9}]
    assert second.state(4) is None


def test_wrong_shares_are_refused_before_the_search_begins() -> None:
    with pytest.raises(UsageError, match=r"^rungs='0\.04,0\.5' must be"):
        Halving(shares=[0.04, 0.5])
