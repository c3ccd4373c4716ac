"""Picture of a recommendation: bands of means over energy budgets, lines of one seed, and the strip of who leads."""

from __future__ import annotations

import math

import pytest

from spikefront.results.pictures.recommendation import repeats_picture
from spikefront.results.recommendation.evidence import Arm, Evidence
from spikefront.results.recommendation.segments import segments_of
from spikefront.searchspace import ENERGY, Objective, Trial
from spikefront.searchspace.objectives import Limits

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
ERROR = Objective("quality", maximize=False, worst=1.0, best=0.0)
NOISE = (0.001, 0.0, -0.001)


def arm(number: int, coding: str, mean: float, energy: float) -> Arm:
    repeats = {seed: {"quality": mean + noise, "energy_nj": energy} for seed, noise in enumerate(NOISE)}
    metrics = {"quality": mean, "energy_nj": energy}
    return Arm(Trial(number, candidate={"coding": coding}, metrics=metrics), repeats)


ARMS = [arm(0, "css", 0.80, 10), arm(1, "css", 0.79, 20), arm(2, "css", 0.90, 40), arm(3, "sac", 0.85, 20)]
ONCE = [
    Trial(4, candidate={"coding": "gac"}, metrics={"quality": 0.7, "energy_nj": 15.0}),
    Trial(5, candidate={"coding": "sac"}, metrics={"quality": 0.6, "energy_nj": 5.0}),
]


def test_bands_are_means_and_intervals_of_the_best_candidate_within_each_budget() -> None:
    evidence = Evidence(ARMS, (QUALITY, ENERGY))
    picture = repeats_picture("s", "accuracy", ["css", "gac", "sac"], evidence, segments_of(evidence, Limits()), ONCE)
    bands = [row for row in picture.rows if "low" in row]
    right = 40 * 1.15
    # t(0.975, 2) = 4.302653: half of an interval is 4.302653 * 0.001 / sqrt(3)
    half = 4.302653 * 0.001 / math.sqrt(3)
    assert [(row["coding"], row["x"], row["y"], row["trial"]) for row in bands] == [
        ("css", 10, pytest.approx(0.80), "0"),
        ("css", 40, pytest.approx(0.90), "2"),  # trial 1 costs more than trial 0, and is worse
        ("css", pytest.approx(right), pytest.approx(0.90), "2"),
        ("sac", 20, pytest.approx(0.85), "3"),
        ("sac", pytest.approx(right), pytest.approx(0.85), "3"),
    ]
    assert all(row["high"] - row["y"] == pytest.approx(half, abs=1e-6) for row in bands)
    assert all(row["y"] - row["low"] == pytest.approx(half, abs=1e-6) for row in bands)
    lines = [row for row in picture.rows if "low" not in row and "x2" not in row]
    assert [(row["coding"], row["x"]) for row in lines] == [("gac", 15), ("gac", pytest.approx(right))]
    strip = [row for row in picture.rows if "x2" in row]
    assert [(row["coding"], row["x"], row["x2"], row["sure"]) for row in strip] == [
        ("css", 10, 20, True), ("sac", 20, 40, True), ("css", 40, pytest.approx(right), True)
    ]  # fmt: skip
    # log(46 / 10) of the width: 45 %, 45 % and 9.2 %
    assert [row["label"] for row in strip] == ["css 1.00", "sac 1.00", "1.00"]
    assert "layer" in picture.spec
    assert not {"hconcat", "vconcat", "facet", "repeat"} & picture.spec.keys()  # one view, which a page can stretch
    assert picture.svg().startswith("<svg")


def test_where_less_is_better_lines_go_down() -> None:
    evidence = Evidence(ARMS, (ERROR, ENERGY))
    picture = repeats_picture("s", "error", ["css", "sac"], evidence, segments_of(evidence, Limits()), [])
    assert [row["y"] for row in picture.rows if "low" in row and row["coding"] == "css"] == pytest.approx(
        [0.80, 0.79, 0.79]
    )
    assert picture.svg().startswith("<svg")


def test_a_search_on_one_seed_has_lines_and_a_strip_that_is_not_sure() -> None:
    picture = repeats_picture("s", "accuracy", ["gac", "sac"], Evidence([], (QUALITY, ENERGY)), (), ONCE)
    assert not [row for row in picture.rows if "low" in row]
    strip = [row for row in picture.rows if "x2" in row]
    assert [(row["coding"], row["x"], row["sure"]) for row in strip] == [("sac", 5, False), ("gac", 15, False)]
    assert all(row["label"].endswith("?") for row in strip)
    assert "on one seed" in picture.alt
    assert picture.svg().startswith("<svg")


def test_a_search_of_nothing_has_an_empty_picture() -> None:
    picture = repeats_picture("s", "accuracy", [], Evidence([], (QUALITY, ENERGY)), (), [])
    assert picture.rows == []
    assert picture.svg().startswith("<svg")
