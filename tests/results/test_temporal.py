"""What a temporal probe concludes from qualities over seeds, checked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from spikefront.results.temporal import Measured, conclude
from spikefront.searchspace.temporal import Variant

FULL = {0: 0.9, 1: 0.8, 2: 0.85}
HALF = 4.302652729911275 * math.sqrt(1 / 300) / math.sqrt(3)  # t of 2 degrees of freedom, sd of .4, .3 and .4


def measured(values: Mapping[Variant, Mapping[int, float]], **other: Any) -> Measured:
    given: dict[str, Any] = {
        "task": "t",
        "candidate": {},
        "quality": "accuracy",
        "maximize": True,
        "chance": 0.1,
        "best": 1.0,
        "is_static": False,
    }
    return Measured(**{**given, "values": values, **other})


def test_costs_are_paired_by_seed() -> None:
    other = {2: 0.45, 1: 0.5, 0: 0.5, 7: 0.99}
    cost = measured({Variant.FULL: FULL, Variant.SHUFFLE_EACH: other}).cost(Variant.SHUFFLE_EACH)
    assert cost is not None
    assert cost.seeds == 3
    assert cost.mean == pytest.approx(1.1 / 3)
    assert cost.high - cost.mean == pytest.approx(HALF)
    assert cost.mean - cost.low == pytest.approx(HALF)


def test_a_cost_is_positive_where_the_whole_network_is_better() -> None:
    errors = {seed: 10 * (1 - value) for seed, value in FULL.items()}
    worse = {seed: value + 1 + seed for seed, value in errors.items()}
    found = measured(
        {Variant.FULL: errors, Variant.SUM: worse}, maximize=False, chance=100.0, best=0.0, quality="smape"
    )
    cost = found.cost(Variant.SUM)
    assert cost is not None
    assert cost.mean == pytest.approx(2)


@pytest.mark.parametrize(
    ("lost", "need"),
    [
        ((0.4, 0.3, 0.4), "yes"),
        ((0.001, 0.002, -0.001), "no"),
        ((0.1, -0.1, 0.05), "undecided"),
        ((0.0, 0.0, 0.0), "no"),
        ((-0.4, -0.3, -0.4), "no"),
        ((0.4,), "undecided"),
    ],
)
def test_a_need_is_what_the_interval_says(lost: tuple[float, ...], need: str) -> None:
    other = {seed: FULL[seed] - each for seed, each in enumerate(lost)}
    found = conclude(measured({Variant.FULL: FULL, Variant.SHUFFLE_EACH: other, Variant.SUM: FULL}))
    assert (found.needs_order, found.needs_time) == (need, "no")
    said = {"yes": "t needs order: ", "no": "t needs no order: ", "undecided": "Whether t needs order is undecided: "}
    assert found.answer[0].startswith(said[need])
    assert found.answer[1].startswith("t needs no time: to sum all points into each costs 0.0000 of accuracy")


def test_order_is_not_needed_where_a_network_that_is_blind_to_it_does_as_well() -> None:
    worse = {seed: value - 0.3 - 0.01 * seed for seed, value in FULL.items()}
    same = {seed: value + 0.001 for seed, value in FULL.items()}
    values = {Variant.FULL: FULL, Variant.SHUFFLE_EACH: worse, Variant.SUM: worse, Variant.NO_STATE: same}
    found = conclude(measured(values, blind=True))
    assert (found.needs_order, found.needs_time) == ("undecided", "yes")
    assert "a network without state, to which order makes no difference" in found.answer[0]
    assert conclude(measured(values, blind=False)).needs_order == "yes"
    assert conclude(measured({**values, Variant.NO_STATE: worse}, blind=True)).needs_order == "yes"


def test_what_counts_as_nothing_can_be_said() -> None:
    values = {Variant.FULL: FULL, Variant.SUM: {seed: value - (0.01, -0.01, 0)[seed] for seed, value in FULL.items()}}
    assert measured(values).margin == pytest.approx(0.018)
    assert measured(values).needs(Variant.SUM) == "undecided"  # up to 0.0248
    assert measured(values, equivalent=0.03).needs(Variant.SUM) == "no"


def test_a_network_that_has_not_learnt_decides_nothing() -> None:
    values = {Variant.FULL: {0: 0.12, 1: 0.09, 2: 0.1}, Variant.SHUFFLE_EACH: {0: 0.02, 1: -0.01, 2: 0.0}}
    found = conclude(measured(values))
    assert (found.needs_order, found.needs_time) == ("undecided", "undecided")
    assert found.text == (
        "Undecided: the network has not learnt t (mean accuracy 0.1033, 0.1000 without looking); give --epochs, or "
        "another network by --set."
    )


def test_an_input_that_stands_still_needs_neither() -> None:
    values = {Variant.FULL: FULL, Variant.LAST: {0: 0.8, 1: 0.7, 2: 0.75}}
    found = conclude(measured(values, is_static=True, left_out="neuron 'if' states no single step"))
    assert (found.needs_order, found.needs_time) == ("no", "no")
    assert list(found.table["variant"]) == ["full", "shuffle", "shuffle-each", "sum", "last"]
    assert list(found.table["costs"])[1:] == pytest.approx([0, 0, 0, 0.1])
    assert found.answer[0].startswith("t needs neither order nor time: ")
    assert found.answer[1].startswith("To read out the last step only costs 0.1000 of accuracy")
    assert found.answer[2] == "What state and its gradient are worth is left out: neuron 'if' states no single step."
