"""Distances between candidates, by arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.results.why.nearest import differences, distance, nearest_learnt
from spikefront.searchspace import Trial, from_flat

BASE: dict[str, Any] = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 4}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def flat(registry: Registry, **more: Any) -> dict[str, Any]:
    given = {**BASE, **{name.replace("__", "."): value for name, value in more.items()}}
    return dict(from_flat(given, registry).flat())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 0.0),
        ({"seed": 7}, 0.0),
        ({"neuron__lif__threshold": 1.34}, 0.34 / 1.7),  # on 0.3..2.0
        ({"training__optimizer__adam__lr": 5e-4 * 10}, 0.0),  # the default
        ({"training__optimizer__adam__lr": 2e-2}, math.log(4) / math.log(2e-2 / 3e-4)),
        ({"neuron__lif__reset": "soft"}, 1.0),
        ({"steps": 8}, 1 / 7),  # a doubling, of the seven up to 128
        ({"training__surrogate": "triangle"}, 2.0),
        ({"backbone": "convnet"}, 4.0),
        ({"neuron": "if", "steps": 8}, 4.0 + 1 / 7),
    ],
    ids=str,
)
def test_a_distance_is_the_sum_over_settings_that_both_have(
    registry: Registry, more: dict[str, Any], expected: float
) -> None:
    one, other = flat(registry), flat(registry, **more)
    assert distance(one, other, registry) == pytest.approx(expected)
    assert distance(other, one, registry) == pytest.approx(expected)


def test_values_that_a_store_has_as_text_are_the_same(registry: Registry) -> None:
    one = flat(registry)
    assert distance(one, {name: str(value) for name, value in one.items()}, registry) == 0
    assert differences(one, {name: str(value) for name, value in one.items()}) == ()


def test_the_nearest_is_the_nearest_of_those_that_learnt(registry: Registry) -> None:
    def trial(number: int, quality: float, state: str = "COMPLETE", **more: Any) -> Trial:
        return Trial(number, state, flat(registry, **more), {"quality": quality})

    trials = [
        trial(0, 0.10),  # the same, at chance
        trial(1, 0.45, steps=5),  # near, but not half as good as the best
        trial(2, 0.90, "PRUNED", steps=5),
        trial(3, 0.80, steps=16, neuron__lif__threshold=0.5),
        trial(4, 0.95, neuron="if"),
        trial(5, 0.85, steps=16, neuron__lif__threshold=0.5),
        Trial(6, "COMPLETE", flat(registry), {}),
        Trial(7, "COMPLETE", flat(registry), {"quality": math.nan}),
    ]
    near = nearest_learnt(flat(registry), trials, registry, chance=0.1, best=1.0)
    assert near is not None
    assert near.trial.number == 5  # as near as 3, and better
    assert near.distance == pytest.approx(2 / 7 + 0.5 / 1.7)
    assert near.differences == (("neuron.lif.threshold", 1.0, 0.5), ("steps", 4, 16))
    assert near.value("steps") == 16
    assert nearest_learnt(flat(registry), trials[:1], registry, chance=0.1, best=1.0) is None


def test_quality_may_be_minimised(registry: Registry) -> None:
    trials = [Trial(at, "COMPLETE", flat(registry), {"quality": quality}) for at, quality in enumerate((9.0, 2.0, 8.0))]
    near = nearest_learnt(flat(registry, steps=2), trials, registry, chance=10.0, best=0.0)
    assert near is not None
    assert near.trial.number == 1


def test_what_only_one_has_is_a_difference_beside_the_plugin_that_brings_it(registry: Registry) -> None:
    found = differences(flat(registry), flat(registry, neuron="if"))
    assert found[0] == ("neuron", "lif", "if")
    assert ("neuron.lif.tau", 2.0, None) in found
    assert ("neuron.if.threshold", None, 1.0) in found
