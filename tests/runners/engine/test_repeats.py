"""Repeats: a trial and its points under one seed are one training."""

from __future__ import annotations

from spikefront.runners.engine.repeats import _made, _trainings
from spikefront.searchspace import Value
from spikefront.searchspace.records import Repeat

WHOLE: dict[str, Value] = {"coding": "direct", "steps": 4}
MEMBERS: dict[str, dict[str, Value]] = {
    "3": WHOLE,
    "3@2": {**WHOLE, "cut": 2},
    "4": {"coding": "sac", "steps": 4},
    "4@1": {"coding": "sac", "steps": 4, "cut": 1},
}


def test_points_of_one_trial_under_one_seed_are_one_training() -> None:
    pairs = [("3@2", 1), ("4", 1), ("3", 1), ("3@2", 2), ("4@1", 2)]
    made = [(one.flat["coding"], one.seed, one.members) for one in _trainings(MEMBERS, pairs)]
    assert made == [
        ("direct", 1, {"3@2": 2, "3": 0}),
        ("sac", 1, {"4": 0}),
        ("direct", 2, {"3@2": 2}),
        ("sac", 2, {"4@1": 1}),
    ]
    assert all("cut" not in one.flat for one in _trainings(MEMBERS, pairs))


def test_a_point_that_was_not_measured_fails_alone() -> None:
    assert _made("3", 1, {"quality": 0.5, "right": [True]}, 0) == Repeat("3", 1, {"quality": 0.5}, right=[True])
    assert _made("3@2", 1, "no device", 2) == Repeat("3@2", 1, {}, "no device")
    assert _made("3@2", 1, None, 2).reason == "its network can't be stopped after 2 steps, or is not finite there"
