"""Shares are held against Sobol indices known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from spikefront.results.findings import Findings
from spikefront.results.importance import ENOUGH, MOST, NEARNESS, Explained, explain

Make = Callable[..., Findings]


def shares(explained: Explained) -> dict[str, float]:
    return {row.name: row.share for row in explained.rows}


def test_independent_inputs_get_their_sobol_indices(findings: Make) -> None:
    # 0.3 a + 0.1 b with equally distributed a and b: variances 9 to 1; energy 10^(4c), of which all is c's
    a, b, c = np.random.default_rng(1).random((3, 400))
    rows = [
        ({"a": str(x), "b": str(y), "c": str(z)}, {"quality": 0.3 * x + 0.1 * y, "energy_nj": 10 ** (4 * z)})
        for x, y, z in zip(a, b, c, strict=True)
    ]
    _, quality, energy = explain(findings(rows))
    assert quality.trials == energy.trials == 400
    assert shares(quality) == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0}, abs=0.06)
    assert shares(energy) == pytest.approx({"a": 0.0, "b": 0.0, "c": 1.0}, abs=0.06)
    assert [row.name for row in quality.rows][:2] == ["a", "b"]
    assert min(quality.r2, energy.r2) > 0.95


def test_texts_count_and_what_comes_with_a_choice_counts_for_it(findings: Make) -> None:
    # sac: quality tau, uniform on [0, 1]; direct: 0.5. tau has all of the variance among sac's trials
    generator, rows = np.random.default_rng(2), []
    for number in range(500):
        tau, noise = generator.random(2)
        params = {"coding": "direct", "noise": str(noise)}
        if number % 2:
            params = {"coding": "sac", "coding.sac.tau": str(tau), "noise": str(noise)}
        energy = 10.0 if params["coding"] == "sac" else 1000.0
        rows.append((params, {"quality": tau if number % 2 else 0.5, "energy_nj": energy}))
    _, quality, energy_of = explain(findings(rows))
    found = {row.name: row for row in quality.rows}
    assert found["coding.sac.tau"].trials == 250
    assert found["coding.sac.tau"].share == pytest.approx(1.0, abs=0.1)
    assert found["coding"].with_own
    assert not found["noise"].with_own
    assert found["noise"].share < 0.05
    assert shares(energy_of)["coding"] > 0.8
    assert shares(energy_of)["noise"] < 0.05
    assert shares(energy_of)["coding.sac.tau"] == 0.0  # energy does not vary among its trials


def test_too_few_trials_say_nothing(findings: Make) -> None:
    generator = np.random.default_rng(3)
    rows = [({"a": str(x)}, {"quality": x, "energy_nj": 10.0}) for x in generator.random(ENOUGH - 1)]
    front, quality, _ = explain(findings(rows))
    assert front.rows == quality.rows == ()
    assert front.trials == quality.trials == ENOUGH - 1
    assert math.isnan(quality.r2)
    rare = [
        ({"a": str(x)} | ({"rare": str(x)} if at < ENOUGH - 1 else {}), {"quality": x, "energy_nj": 10.0})
        for at, x in enumerate(generator.random(200))
    ]
    _, quality, energy = explain(findings(rare))
    assert [(row.name, row.trials) for row in quality.rows] == [("a", 200), ("rare", ENOUGH - 1)]
    assert math.isnan(quality.rows[1].share)
    assert energy.rows == ()  # the same for all


def test_what_never_varied_is_left_out_and_of_very_many_some_are_looked_at(findings: Make) -> None:
    values = np.random.default_rng(4).random(MOST + 500)
    rows = [
        ({"a": str(x), "task": "t", "same": "1", "seed": str(x)}, {"quality": x, "energy_nj": 2 - x}) for x in values
    ]
    _, quality, _ = explain(findings(rows))
    assert quality.trials == MOST
    assert [row.name for row in quality.rows] == ["a"]


def test_what_acts_only_together_with_another_has_all_of_the_variance(findings: Make) -> None:
    # (a - 1/2)(b - 1/2) has no main effects: both total-order indices are 1
    a, b, idle = np.random.default_rng(5).random((3, 300))
    rows = [
        ({"a": str(x), "b": str(y), "idle": str(z)}, {"quality": 0.5 + (x - 0.5) * (y - 0.5), "energy_nj": 1.0})
        for x, y, z in zip(a, b, idle, strict=True)
    ]
    _, quality, _ = explain(findings(rows))
    assert shares(quality) == pytest.approx({"a": 1.0, "b": 1.0, "idle": 0.0}, abs=0.15)


def test_what_moves_away_from_the_front_matters_for_it_and_what_moves_along_it_does_not(findings: Make) -> None:
    generator, rows = np.random.default_rng(6), []
    for x, away in generator.random((300, 2)):
        rows.append(
            ({"x": str(x), "away": str(away)}, {"quality": 0.5 + 0.2 * (x - away), "energy_nj": 10 ** (x + away)})
        )
    front, quality, energy = explain(findings(rows))
    assert front.axis == NEARNESS
    assert shares(front)["away"] > 0.8
    assert shares(front)["x"] < 0.1
    assert shares(quality) == pytest.approx({"x": 0.5, "away": 0.5}, abs=0.1)
    assert shares(energy) == pytest.approx({"x": 0.5, "away": 0.5}, abs=0.1)


def test_only_the_order_of_numbers_counts_and_texts_that_are_not_finite_numbers_are_texts(findings: Make) -> None:
    generator, rows = np.random.default_rng(7), []
    for at in range(300):
        rate, odd = 10 ** (-6 * generator.random()), ("nan", "inf", "2")[at % 3]
        quality = (math.log10(rate) + 6) / 6
        rows.append(({"lr": rate, "odd": odd}, {"quality": quality, "energy_nj": 9.0 if odd == "inf" else 1.0}))
    _, quality_of, energy = explain(findings(rows))
    assert shares(quality_of) == pytest.approx({"lr": 1.0, "odd": 0.0}, abs=0.03)
    assert shares(energy) == pytest.approx({"lr": 0.0, "odd": 1.0}, abs=0.05)
