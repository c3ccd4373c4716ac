"""Predicted costs: operations, corrected by measurements."""

from __future__ import annotations

import math

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.searchspace import Candidate, from_flat

REGISTRY = load_registry(third_parties=False)


def candidate(coding: str = "direct", backbone: str = "mlp", steps: int = 4) -> Candidate:
    return from_flat({"task": "digits", "coding": coding, "backbone": backbone, "steps": steps}, REGISTRY)


def by_steps(judged: Candidate) -> float:
    return float(judged.steps)


def test_nothing_measured_leaves_the_count() -> None:
    assert CostModel(by_steps).predict(candidate(steps=6)) == 6.0


def test_one_trial_that_shares_everything_outweighs_the_count() -> None:
    model = CostModel(by_steps)
    model.measured(candidate(), counted_s=1.0, measured_s=14.0)
    # it weighs 1 + 3 * 4, the count 1: 14 ** (13 / 14) times the count
    assert model.predict(candidate(steps=8)) == pytest.approx(8 * 14 ** (13 / 14))


def test_what_shares_more_weighs_more() -> None:
    model = CostModel(by_steps)
    model.measured(candidate("rate", "convnet"), counted_s=1.0, measured_s=100.0)
    model.measured(candidate("direct", "mlp"), counted_s=1.0, measured_s=1.0)
    both_lif = model.predict(candidate("rate", "convnet")) / 4
    # weights 13 and 5 and 1, of logarithms 2 and 0 and 0
    assert math.log10(both_lif) == pytest.approx(2 * 13 / 19)
    assert model.predict(candidate("direct", "mlp")) < model.predict(candidate("rate", "convnet"))


def test_old_measurements_are_forgotten() -> None:
    model = CostModel(by_steps)
    model.measured(candidate(), counted_s=1.0, measured_s=1e9)
    for _ in range(CostModel.remembered):
        model.measured(candidate(), counted_s=1.0, measured_s=1.0)
    assert model.predict(candidate()) == pytest.approx(4.0)


def test_measurements_that_say_nothing_are_left_out() -> None:
    model = CostModel(by_steps)
    for counted, measured in ((math.inf, 1.0), (1.0, math.nan), (0.0, 1.0), (1.0, 0.0)):
        model.measured(candidate(), counted_s=counted, measured_s=measured)
    assert model.predict(candidate()) == 4.0


def test_a_candidate_is_counted_once() -> None:
    calls: list[Candidate] = []

    def counting(judged: Candidate) -> float:
        calls.append(judged)
        return 1.0

    model = CostModel(counting)
    for _ in range(3):
        model.predict(candidate())
    assert len(calls) == 1
