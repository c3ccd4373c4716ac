"""Members of a space: conditions that nest, steps, and all candidates in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Any

import optuna
import pytest
from tests.searchspace.conftest import Shelf
from tests.searchspace.test_space import candidates, space

from spikefront.searchspace import (
    Choice,
    Float,
    UsageError,
    When,
    from_flat,
)
from spikefront.searchspace.space import SearchCatalogue


@dataclass(frozen=True, slots=True)
class NestedConfig:
    """A float with a step, and conditions two deep."""

    gain: Annotated[float, Float(0, 1, step=0.25)] = 0.5
    a: Annotated[str, Choice(("x", "y"))] = "x"
    b: Annotated[str, Choice(("p", "q")), When("a", ("y",))] = "q"
    c: Annotated[float, Float(0, 1), When("b", ("q",))] = 0.5


class NestedShelf(Shelf):
    def options(self, family: str) -> Mapping[str, type]:
        return {"direct": NestedConfig} if family == "coding" else super().options(family)


NESTED = {"task": "images", "coding": "direct"}


def test_hyperparameter_whose_parent_is_absent_is_absent() -> None:
    drawn = candidates(space(NestedShelf()), 60)
    of_x = [candidate.flat() for candidate in drawn if candidate.coding.config.a == "x"]
    assert len(of_x) > 10
    assert not any({"coding.direct.b", "coding.direct.c"} & flat.keys() for flat in of_x)
    of_q = [c.flat() for c in drawn if c.coding.config.a == "y" and c.coding.config.b == "q"]
    assert of_q
    assert all("coding.direct.c" in flat for flat in of_q)


def test_candidates_that_differ_in_what_does_not_exist_are_equal() -> None:
    plain = from_flat(NESTED, NestedShelf())
    other = from_flat(NESTED | {"coding.direct.b": "p", "coding.direct.c": 0.9}, NestedShelf())
    assert other == plain
    assert hash(other) == hash(plain)
    assert other.flat() == plain.flat()
    by_hand = replace(plain, coding=replace(plain.coding, config=NestedConfig(c=0.9)))
    assert by_hand == plain


def test_rows_name_all_conditions_of_a_hyperparameter() -> None:
    rows = {row.name: row.active for row in space(NestedShelf()).rows()}
    assert rows["coding.direct.b"] == "coding=direct, a=y"
    assert rows["coding.direct.c"] == "coding=direct, a=y, b=q"


@pytest.mark.parametrize("narrowed", [[], ["coding.direct.gain=0.25..1"]])
def test_float_with_a_step_is_searched_in_steps(narrowed: list[str]) -> None:
    drawn = {c.coding.config.gain for c in candidates(space(NestedShelf(), *narrowed), 60)}
    assert drawn == ({0.25, 0.5, 0.75, 1.0} if narrowed else {0.0, 0.25, 0.5, 0.75, 1.0})
    (text,) = (row.domain for row in space(NestedShelf(), *narrowed).rows() if row.name == "coding.direct.gain")
    assert text == ("0.25..1 (step 0.25)" if narrowed else "0..1 (step 0.25)")


def test_value_between_the_steps_is_refused() -> None:
    with pytest.raises(UsageError, match=r"coding\.direct\.gain: 0\.3 is outside 0\.\.1 \(step 0\.25\)"):
        space(NestedShelf(), "coding.direct.gain=0.3")


def test_a_finite_space_lists_each_candidate_once(shelf: SearchCatalogue) -> None:
    neuron = ("neuron=lif", "neuron.lif.threshold=1", "neuron.lif.overshoot=0.1")
    searched = space(shelf, "coding=tcja", "steps=2,4", *neuron, "backbone=mlp", "backbone.mlp.width=4,8")
    listed = list(searched.candidates())
    # two resets, two widths, two surrogates; kernel 1 and reach 1, 2 at T = 2, kernel 1, 3 and reach 1 to 4 at T = 4
    assert len(listed) == 2 * 2 * 2 * (1 * 2 + 2 * 4)
    assert len({candidate for _, candidate in listed}) == len(listed)
    assert all(searched.suggest(optuna.trial.FixedTrial(answers)) == candidate for answers, candidate in listed)


def test_of_a_continuous_range_candidates_never_end(shelf: SearchCatalogue) -> None:
    narrowed = ("coding=direct", "steps=4", "neuron=lif", "neuron.lif.reset=soft", "backbone=mlp")
    listed = [candidate for _, candidate in islice(space(shelf, *narrowed).candidates(), 64)]
    assert len(set(listed)) == 64
    assert {1, 64} & {candidate.steps for candidate in listed} == set()
    overshoots = [candidate.neuron.config.overshoot for candidate in listed]
    assert min(overshoots) >= 1e-3
    assert max(overshoots) <= 1.0


def test_a_candidate_of_an_earlier_version_is_the_same(shelf: SearchCatalogue) -> None:
    searched = space(shelf, "coding=direct")
    flat = searched.default().flat()
    before: dict[str, Any] = {
        name: value for name, value in flat.items() if name != "training.mix"
    }  # that did not exist
    assert searched.identity(before) == searched.identity(flat)
    assert searched.identity(before | {"steps": 7}) != searched.identity(flat)
    gone: Any = {"coding": "gone", "pair": [1, 2]}
    assert searched.identity(gone) == searched.identity(dict(reversed(gone.items())))
