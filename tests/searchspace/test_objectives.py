"""Objectives: directions, scales, and how values are written and stored."""

from __future__ import annotations

import json
import math

import pytest

from spikefront.searchspace import ENERGY, LATENCY, OBJECTIVES, Objective, UnknownName, UsageError
from spikefront.searchspace.objectives import (
    EARLIER_ENERGY,
    find_objective,
    quality_objective,
    read_objectives,
    write_objectives,
)

ACCURACY = Objective("accuracy", maximize=True, worst=0.0, best=1.0)


@pytest.mark.parametrize("objective", [ACCURACY, *OBJECTIVES.values()], ids=lambda objective: objective.name)
def test_loss_is_0_at_best_and_1_at_worst(objective: Objective) -> None:
    assert objective.loss(objective.best) == 0
    assert objective.loss(objective.worst) == 1


def test_a_linear_axis_measures_shares() -> None:
    assert ACCURACY.loss(0.9) == pytest.approx(0.1)


def test_logarithmic_axis_measures_decades() -> None:
    assert ENERGY.scaled(1000.0) == pytest.approx(3)
    assert ENERGY.loss(1000.0) == pytest.approx(0.6)  # ENERGY spans ten decades from 1 pJ


def test_below_the_floor_all_values_count_the_same() -> None:
    sops = OBJECTIVES["sops"]  # twelve decades, with a floor of 1
    assert sops.floor == 1.0
    assert sops.scaled(0.0) == sops.scaled(0.5) == sops.scaled(1.0) == 0.0
    assert sops.loss(1e6) == pytest.approx(0.5)
    assert sops.problem({"sops": 0.0}) is None
    assert sops.problem({"sops": math.inf}) == "sops is inf"


@pytest.mark.parametrize(
    ("objective", "metrics", "problem"),
    [
        (ENERGY, {"energy_nj": 0.0}, "energy_nj is 0"),  # no floor: the energy of something is not 0
        (ENERGY, {"energy_nj": -1.0}, "energy_nj is -1"),
        (ENERGY, {"energy_nj": math.nan}, "energy_nj is nan"),
        (ENERGY, {}, "energy_nj is missing"),
        (ENERGY, {"energy_nj": 1e9}, None),  # worse than worst is a value, too
        (ACCURACY, {"accuracy": -1.0}, None),
    ],
)
def test_a_value_without_a_place_on_the_axis_has_a_reason(
    objective: Objective, metrics: dict[str, float], problem: str | None
) -> None:
    assert objective.problem(metrics) == problem


@pytest.mark.parametrize(
    ("objective", "value", "text"),
    [
        (ENERGY, 1234.0, "1.23 µJ"),
        (ENERGY, 0.0, "0 nJ"),
        (ENERGY, math.nan, ""),
        (ENERGY, math.inf, ""),
        (LATENCY, 4.0, "4 steps"),
        (OBJECTIVES["parameters"], 9999.0, "9999"),
        (OBJECTIVES["parameters"], 123456.0, "123,456"),
        (OBJECTIVES["spike-rate"], 0.12345, "0.1235"),
        (OBJECTIVES["seconds"], 2.5, "2.5 s"),
        (quality_objective(maximize=True, worst=0.0, best=1.0), 0.9, "0.9000"),
        (ACCURACY, None, ""),
    ],
)
def test_values_are_written_with_their_units(objective: Objective, value: float | None, text: str) -> None:
    assert objective.format(value) == text


def test_names_and_titles_follow_the_metric() -> None:
    axis = Objective("quality_change", maximize=True, worst=-1.0, best=1.0)
    assert (axis.name, axis.title, axis.label) == ("quality_change", "quality change", "quality change")
    assert (ENERGY.name, ENERGY.label) == ("energy", "energy per sample (nJ)")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"worst": 1.0, "best": 1.0}, "worst 1 and best 1 must be finite, differ"),
        ({"worst": math.inf, "best": 1.0}, "worst inf and best 1 must be finite"),
        ({"worst": 0.0, "best": 1.0}, "best 1 must lie below worst 0"),
        ({"worst": 1.0, "best": 0.0, "log": True}, "a logarithmic axis needs best, worst and floor above 0"),
        ({"worst": 1.0, "best": 0.5, "log": True, "floor": 0.0}, "a logarithmic axis needs best, worst and floor"),
        ({"worst": 1.0, "best": 0.0, "style": "roman"}, "unknown style 'roman'"),
    ],
)
def test_an_axis_that_makes_no_sense_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Objective("x", maximize=False, **fields)  # type: ignore[arg-type]


def test_an_objective_is_found_by_its_name_its_metric_or_its_bounds() -> None:
    assert find_objective("energy") is find_objective("energy_nj") is ENERGY
    assert find_objective("spike-rate") is find_objective("spike_rate") is OBJECTIVES["spike-rate"]
    assert find_objective("loss:0..5") == Objective("loss", maximize=False, worst=5.0, best=0.0)
    assert find_objective("f1:1..0") == Objective("f1", maximize=True, worst=0.0, best=1.0)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("enrgy", UnknownName, r"unknown objective 'enrgy'\. Did you mean 'energy'\?"),
        ("loss:0", UsageError, r"objective 'loss:0' must read METRIC:BEST\.\.WORST, for example loss:0\.\.5"),
        ("loss:a..b", UsageError, r"must read METRIC:BEST\.\.WORST"),
        ("loss:2..2", UsageError, r"worst 2 and best 2 must be finite, differ"),
        ("loss:0..inf", UsageError, r"must be finite"),
    ],
)
def test_what_is_not_an_objective_is_refused(text: str, error: type[UsageError], message: str) -> None:
    with pytest.raises(error, match=message):
        find_objective(text)


def test_objectives_come_back_from_json() -> None:
    axes = (quality_objective(maximize=False, worst=2.0, best=0.0), *OBJECTIVES.values())
    assert read_objectives(write_objectives(axes)) == axes
    added = Objective("edp", maximize=False, worst=9.0, best=1.0, log=True, unit="nJ s", floor=1.0, measure=len)
    (back,) = read_objectives(write_objectives([added]))
    assert back.measure is None  # a function is not stored
    assert back.plain() == added.plain()


def test_objectives_of_the_earlier_version_have_names_and_units() -> None:
    stored = [
        {"metric": "quality", "maximize": True, "worst": 0.1, "best": 1.0, "log": False},
        {"metric": "energy_nj", "maximize": False, "worst": 1e7, "best": 1.0, "log": True},
        {"metric": "latency_steps", "maximize": False, "worst": 64.0, "best": 1.0, "log": True},
        {"metric": "gone", "maximize": False, "worst": 1.0, "best": 0.0, "log": False},
    ]
    quality, energy, latency, gone = read_objectives(json.dumps(stored))
    assert quality == quality_objective(maximize=True, worst=0.1, best=1.0)
    assert quality.format(0.9) == "0.9000"
    assert (energy, latency) == (EARLIER_ENERGY, LATENCY)
    assert gone == Objective("gone", maximize=False, worst=1.0, best=0.0)


def test_bounds_that_were_stored_are_stronger_than_those_of_today() -> None:
    stored = [{"metric": "energy_nj", "maximize": False, "worst": 1e9, "best": 10.0, "log": True}]
    (axis,) = read_objectives(json.dumps(stored))
    assert (axis.worst, axis.best, axis.name, axis.unit) == (1e9, 10.0, "energy", "nJ")
