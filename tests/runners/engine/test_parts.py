"""Parts of a search as its settings name them: sampler, stopping rules, objectives."""

from __future__ import annotations

from typing import Any

import pytest

from spikefront.plugins import Registry
from spikefront.plugins.stopping.halving import Halving
from spikefront.plugins.stopping.silent import Silent
from spikefront.runners.engine.parts import (
    make_rules,
    make_sampler,
    objectives_of,
    refuse_unused,
    restore_rule,
    rungs_of,
    split_narrowings,
)
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, LATENCY, OBJECTIVES, Objective, UnknownName, UsageError
from spikefront.searchspace.objectives import quality_objective


def names(rules: list[Any]) -> list[str]:
    return [rule.name for rule in rules]


def test_narrowings_of_parts_are_no_narrowings_of_the_space() -> None:
    settings = SearchSettings(space=["coding=rate", "stopping.halving.quota=5", "steps=4", "sampler.tpe.x=1"])
    space, parts = split_narrowings(settings.narrowings)
    assert [str(narrowing) for narrowing in space] == ["coding=rate", "steps=4"]
    assert [str(narrowing) for narrowing in parts] == ["stopping.halving.quota=5", "sampler.tpe.x=1"]


def test_default_rules_look_for_silence_first(registry: Registry) -> None:
    silent, halving = make_rules(SearchSettings(), registry)
    assert isinstance(silent, Silent)
    assert isinstance(halving, Halving)
    assert silent.config.patience == 3
    assert (halving.config.reduction, halving.config.quota) == (3, 2)


@pytest.mark.parametrize("order", [["halving", "silent"], ["silent", "halving"], ["halving"]])
def test_rules_come_in_the_order_in_which_they_are_named(registry: Registry, order: list[str]) -> None:
    assert names(make_rules(SearchSettings(stopping=order), registry)) == order


def test_without_early_stopping_there_are_no_rules(registry: Registry) -> None:
    assert make_rules(SearchSettings(early_stopping=False), registry) == []


def test_hyperparameters_of_a_rule_are_set_as_narrowings(registry: Registry) -> None:
    settings = SearchSettings(space=["stopping.halving.reduction=4", "stopping.silent.patience=2"])
    silent, halving = make_rules(settings, registry)
    assert isinstance(silent, Silent)
    assert isinstance(halving, Halving)
    assert silent.config.patience == 2
    assert halving.config.reduction == 4
    refuse_unused(settings, registry)


def test_rungs_and_reduction_are_short_for_those_of_halving(registry: Registry) -> None:
    (halving,) = make_rules(SearchSettings(stopping="halving", rungs="0.2,0.5", reduction=2), registry)
    assert isinstance(halving, Halving)
    assert halving.config.reduction == 2
    assert halving._rungs.shares == (0.2, 0.5)
    assert halving._rungs.reduction == 2
    settings = SearchSettings(stopping="halving", reduction=2, space="stopping.halving.reduction=4")
    (halving,) = make_rules(settings, registry)
    assert halving.config.reduction == 4  # what says more holds


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": "stopping.halving.reduction=2..4"}, UsageError, r"^space='stopping\.halving\.reduction=2\.\.4': .* "
         "is set for the whole search: give one value$"),
        ({"space": "stopping.halving.reduction=2,4"}, UsageError, "is set for the whole search: give one value$"),
        ({"space": "stopping.halving.reduction=1"}, UsageError, r"reduction: 1 is outside 2\.\.100"),
        ({"space": "stopping.halving.redction=4"}, UnknownName, r"'redction'\. Did you mean 'reduction'\?"),
        ({"reduction": 1}, UsageError, r"1"),
        ({"rungs": "0.5,0.2"}, UsageError, r"^rungs='0\.5,0\.2' must be rising shares of the epochs, from 0\.05 to"),
        ({"stopping": "halvin"}, UnknownName, r"unknown stopping.* 'halvin'\. Did you mean 'halving'\?"),
    ],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused(
    registry: Registry, options: dict[str, Any], error: type[UsageError], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_rules(SearchSettings(**options), registry)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"space": "stopping.halving.quota=3", "stopping": "silent"},
            UsageError,
            r"^space='stopping\.halving\.quota=3': this search has no stopping 'halving'; choose it: stopping='halv",
        ),
        ({"space": "stopping.halving.quota=3", "early_stopping": False}, UsageError, "has no stopping 'halving'"),
        ({"space": "sampler.random.x=3"}, UsageError, "has no sampler 'random'; choose it: sampler='random'$"),
        ({"space": "sampler.tpee.x=3"}, UnknownName, r"'tpee'\. Did you mean 'tpe'"),
        ({"space": "stopping.patience=3"}, UnknownName, r"unknown stopping.* 'patience'"),
    ],
)
def test_settings_of_a_part_that_a_search_does_not_have_are_refused(
    registry: Registry, options: dict[str, Any], error: type[UsageError], message: str
) -> None:
    with pytest.raises(error, match=message):
        refuse_unused(SearchSettings(**options), registry)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": 2},
        {"rungs": "0.2,0.5"},
        {"space": "stopping.halving.reduction=4"},
        {"space": "stopping.halving.reduction=4", "reduction": 2},
    ],
)
def test_rungs_that_are_recorded_are_those_that_the_rule_uses(registry: Registry, options: dict[str, Any]) -> None:
    settings = SearchSettings(stopping="halving", **options)
    (halving,) = make_rules(settings, registry)
    assert isinstance(halving, Halving)
    recorded = SearchSettings(rungs=rungs_of(settings)["rungs"]).rung_shares
    assert recorded == pytest.approx(halving._rungs.shares)


@pytest.mark.parametrize("options", [{"stopping": "silent"}, {"early_stopping": False}])
def test_without_halving_no_rungs_are_recorded(options: dict[str, Any]) -> None:
    assert rungs_of(SearchSettings(**options)) == {}


@pytest.mark.parametrize("name", ["evolution", "tpe", "nsga2", "gp", "random"])
def test_a_sampler_is_made_by_its_name(registry: Registry, name: str) -> None:
    assert make_sampler(SearchSettings(sampler=name), registry).name == name


def test_a_hyperparameter_that_a_sampler_does_not_have_is_refused(registry: Registry) -> None:
    with pytest.raises(UnknownName, match=r"'x'"):
        make_sampler(SearchSettings(space="sampler.evolution.x=3"), registry)


def test_objectives_are_named_by_name_by_metric_or_with_their_bounds(registry: Registry) -> None:
    task = registry.get("task", "digits")
    asked = ["latency", "spike_rate", "loss:0..5"]
    quality, *others = objectives_of(task, SearchSettings(objective=asked), registry)
    assert (quality.metric, quality.maximize, quality.best) == ("quality", True, task.best_quality)
    assert others == [
        ENERGY, LATENCY, OBJECTIVES["spike-rate"], Objective("loss", maximize=False, worst=5.0, best=0.0)
    ]  # fmt: skip


@pytest.mark.parametrize("named", ["quality", "accuracy", "energy", "energy_nj"])
def test_quality_and_energy_are_objectives_anyway(registry: Registry, named: str) -> None:
    axes = objectives_of(registry.get("task", "digits"), SearchSettings(objective=[named]), registry)
    assert [axis.metric for axis in axes] == ["quality", "energy_nj"]


def test_an_objective_named_twice_is_one_axis(registry: Registry) -> None:
    asked = SearchSettings(objective=["latency", "latency_steps", "latency_steps:2..8"])
    assert objectives_of(registry.get("task", "digits"), asked, registry)[2:] == (LATENCY,)


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ("latencyy", UnknownName, r"unknown objective 'latencyy'\. Did you mean 'latency'\?"),
        ("loss:0", UsageError, r"must read METRIC:BEST\.\.WORST"),
    ],
)
def test_unknown_objectives_are_refused(registry: Registry, named: str, error: type[UsageError], message: str) -> None:
    with pytest.raises(error, match=message):
        objectives_of(registry.get("task", "digits"), SearchSettings(objective=named), registry)


def test_a_stopping_rule_goes_on_without_state_that_it_does_not_take(caplog: pytest.LogCaptureFixture) -> None:
    rule = Halving(shares=[0.5])
    rule.begin([quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY], chance=0.1, best=1.0)
    good = {"number": 0, "coding": "sac", "rung": 0, "vector": [0.5, 1.0], "went_on": True}
    odd: list[Any] = ["x", 3, [None], [{}], [good, {**good, "vector": [0.5]}], [{**good, "coding": 3}]]
    restore_rule(rule, {number: state for number, state in enumerate([[good], *odd])})
    (record,) = caplog.records
    assert record.getMessage().startswith("stopping rule halving goes on without its state of 6 trials: trial 1: ")
    assert rule.state(0) == [good]
    assert all(rule.state(number) is None for number in range(1, 7))
