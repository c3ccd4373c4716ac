"""Shares are held against Sobol indices known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from spikefront.results.findings import Findings
from spikefront.results.report.importance import ENOUGH, MOST, Explained, explain

Make = Callable[..., Findings]


def shares(explained: Explained) -> dict[str, float]:
    return {row.name: row.share for row in explained.rows}


def test_independent_inputs_get_their_sobol_indices(findings: Make) -> None:
    # 0.3 a + 0.1 b with equally distributed a and b: variances 9 to 1; energy 10^(4c), of which all is c's
    a, b, c = np.random.default_rng(1).random((3, 900))
    rows = [
        ({"a": str(x), "b": str(y), "c": str(z)}, {"quality": 0.3 * x + 0.1 * y, "energy_nj": 10 ** (4 * z)})
        for x, y, z in zip(a, b, c, strict=True)
    ]
    quality, energy = explain(findings(rows))
    assert quality.trials == energy.trials == 900
    assert shares(quality) == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0}, abs=0.06)
    assert shares(energy) == pytest.approx({"a": 0.0, "b": 0.0, "c": 1.0}, abs=0.06)
    assert [row.name for row in quality.rows][:2] == ["a", "b"]
    assert min(quality.r2, energy.r2) > 0.95


def test_texts_count_and_what_comes_with_a_choice_counts_for_it(findings: Make) -> None:
    # sac: quality tau, uniform on [0, 1]; direct: 0.5. tau has all of the variance among sac's trials
    generator, rows = np.random.default_rng(2), []
    for number in range(600):
        tau, noise = generator.random(2)
        params = {"coding": "direct", "noise": str(noise)}
        if number % 2:
            params = {"coding": "sac", "coding.sac.tau": str(tau), "noise": str(noise)}
        energy = 10.0 if params["coding"] == "sac" else 1000.0
        rows.append((params, {"quality": tau if number % 2 else 0.5, "energy_nj": energy}))
    quality, energy_of = explain(findings(rows))
    found = {row.name: row for row in quality.rows}
    assert found["coding.sac.tau"].trials == 300
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
    quality, _ = explain(findings(rows))
    assert (quality.rows, quality.trials) == ((), ENOUGH - 1)
    assert math.isnan(quality.r2)
    rare = [
        ({"a": str(x)} | ({"rare": str(x)} if at < ENOUGH - 1 else {}), {"quality": x, "energy_nj": 10.0})
        for at, x in enumerate(generator.random(200))
    ]
    quality, energy = explain(findings(rare))
    assert [(row.name, row.trials) for row in quality.rows] == [("a", 200), ("rare", ENOUGH - 1)]
    assert math.isnan(quality.rows[1].share)
    assert energy.rows == ()  # the same for all


def test_what_never_varied_is_left_out_and_of_very_many_some_are_looked_at(findings: Make) -> None:
    values = np.random.default_rng(4).random(MOST + 500)
    rows = [
        ({"a": str(x), "task": "t", "same": "1", "seed": str(x)}, {"quality": x, "energy_nj": 1 + x}) for x in values
    ]
    quality, _ = explain(findings(rows))
    assert quality.trials == MOST
    assert [row.name for row in quality.rows] == ["a"]
