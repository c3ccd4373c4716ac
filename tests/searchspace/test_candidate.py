from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.searchspace import (
    Choice,
    Domain,
    Float,
    Int,
    Space,
    UnknownName,
    UsageError,
    Value,
    from_flat,
    parse_set,
)
from spikefront.searchspace.candidate import altered, identity, typed
from spikefront.searchspace.space import SearchCatalogue

IMAGES = {"task": "images", "coding": "direct"}


def values_of(domain: Domain) -> st.SearchStrategy[Any]:
    if isinstance(domain, Choice):
        return st.sampled_from(domain.choices)
    if isinstance(domain, Int):
        return st.integers(0, (domain.high - domain.low) // domain.step).map(lambda n: domain.low + n * domain.step)
    assert isinstance(domain, Float)
    return st.floats(domain.low, domain.high)


@given(data=st.data(), task=st.sampled_from(["images", "gestures"]), seed=st.integers(0, 9))
def test_any_candidate_survives_json(shelf: SearchCatalogue, data: st.DataObject, task: str, seed: int) -> None:
    def ask(name: str, domain: Domain, default: Value) -> Value:
        value: Value = data.draw(values_of(domain), label=name)
        return value

    candidate = Space(shelf, task, seed=seed).walk(ask)
    again = from_flat(json.loads(candidate.to_json()), shelf)
    assert again == candidate
    assert hash(again) == hash(candidate)
    assert again.flat() == candidate.flat()


@given(data=st.data(), task=st.sampled_from(["images", "gestures"]), seed=st.integers(0, 9))
def test_any_candidate_survives_text(shelf: SearchCatalogue, data: st.DataObject, task: str, seed: int) -> None:
    candidate = Space(shelf, task, seed=seed).walk(
        lambda name, domain, default: data.draw(values_of(domain), label=name)
    )
    written = {name: str(value) for name, value in candidate.flat().items()}
    assert from_flat(typed(written, shelf), shelf) == candidate


def test_a_stored_candidate_is_altered_and_loses_what_belongs_to_what_it_replaces(shelf: SearchCatalogue) -> None:
    flat = from_flat(IMAGES | {"neuron.lif.threshold": 0.8, "steps": 2}, shelf).flat()
    other = altered(flat, [parse_set("neuron=if"), parse_set("neuron.if.threshold=0.5"), parse_set("steps=3")])
    found = from_flat(typed(other, shelf), shelf)
    assert (found.neuron.name, found.neuron.config.threshold, found.steps) == ("if", 0.5, 3)
    same = from_flat(typed(altered(flat, [parse_set("neuron=lif")]), shelf), shelf)
    assert same.neuron.config.threshold == 0.8
    for text in ("steps=2..4", "steps=2,4", "neuron.*.threshold=1"):
        with pytest.raises(UsageError, match="a candidate has one value of each hyperparameter"):
            altered(flat, [parse_set(text)])


def test_steps_that_are_not_said_lie_in_what_the_coding_is_searched_over(shelf: SearchCatalogue) -> None:
    assert from_flat({"task": "gestures", "coding": "frames"}, shelf).steps == 10
    assert from_flat({"task": "images", "coding": "direct"}, shelf).steps == 4


def test_what_is_not_said_takes_its_default(shelf: SearchCatalogue) -> None:
    candidate = from_flat(IMAGES, shelf)
    assert (candidate.neuron.name, candidate.backbone.name) == ("lif", "convnet")
    assert (candidate.training.optimizer.name, candidate.training.surrogate.name) == ("adam", "atan")
    assert (candidate.steps, candidate.seed, candidate.training.schedule.batch) == (4, 0, 64)
    assert str(candidate) == "images direct lif convnet T=4"


def test_flat_form_names_each_value_by_its_place(shelf: SearchCatalogue) -> None:
    said = {"neuron": "if", "neuron.if.threshold": 0.8, "steps": 2, "seed": 7, "training.epochs": 3}
    flat = from_flat(IMAGES | said, shelf).flat()
    assert flat.items() >= said.items()
    assert {"backbone.convnet.width", "neuron.if.detach", "training.optimizer", "training.decay"} <= flat.keys()


def test_flat_form_leaves_out_what_is_not_active(shelf: SearchCatalogue) -> None:
    assert "neuron.lif.overshoot" not in from_flat(IMAGES, shelf).flat()
    assert from_flat(IMAGES | {"neuron.lif.reset": "soft"}, shelf).flat()["neuron.lif.overshoot"] == 0.1


@pytest.mark.parametrize(
    ("flat", "error", "message"),
    [
        ({"coding": "direct"}, UsageError, r"^a candidate needs a task: one of gestures, images, smells$"),
        ({"task": "images"}, UsageError, r"^a candidate needs a coding: one of css, direct, frames, tcja$"),
        (
            IMAGES | {"neuron": "lfi"},
            UnknownName,
            r"^unknown neuron 'lfi'\. Did you mean 'lif'\? Known: if, lif, tsa\.$",
        ),
        (IMAGES | {"neuron.lif.treshold": 1.0}, UnknownName, r"of neuron\.lif 'treshold'\. Did you mean 'threshold'"),
        (IMAGES | {"neuron.lif.threshold": 9.0}, UsageError, r"^neuron\.lif\.threshold: 9\.0 is outside 0\.3\.\.2$"),
        (IMAGES | {"training.epochs": 0}, UsageError, r"^training\.epochs: 0 is outside 1\.\.10000$"),
        (IMAGES | {"neuron.if.threshold": 1.0}, UnknownName, r"^unknown hyperparameter 'neuron\.if\.threshold'"),
        (IMAGES | {"colour": "red"}, UnknownName, r"^unknown hyperparameter 'colour'"),
        (IMAGES | {"steps": 0}, UsageError, r"^steps: 0 is not a whole number of at least 1$"),
        (IMAGES | {"steps": True}, UsageError, r"^steps: True is not a whole number"),
        (IMAGES | {"steps": 4.0}, UsageError, r"^steps: 4\.0 is not a whole number"),
        (IMAGES | {"seed": -1}, UsageError, r"^seed: -1 is not a whole number of at least 0$"),
    ],
)
def test_mistake_is_named(
    shelf: SearchCatalogue, flat: dict[str, object], error: type[UsageError], message: str
) -> None:
    with pytest.raises(error, match=message):
        from_flat(flat, shelf)


def test_candidate_is_frozen(shelf: SearchCatalogue) -> None:
    candidate: Any = from_flat(IMAGES, shelf)
    with pytest.raises(AttributeError):
        candidate.steps = 8


def test_cut_is_part_of_the_flat_form_where_the_network_is_cut(shelf: SearchCatalogue) -> None:
    whole = from_flat(IMAGES | {"steps": 6}, shelf)
    cut = from_flat(IMAGES | {"steps": 6, "cut": 2}, shelf)
    assert whole.cut == 0
    assert "cut" not in whole.flat()
    assert (cut.cut, cut.flat()) == (2, whole.flat() | {"cut": 2})
    assert from_flat(typed({name: str(value) for name, value in cut.flat().items()}, shelf), shelf) == cut
    assert identity(cut.flat()) != identity(whole.flat())
    assert str(cut) == f"{whole} cut at 2"


@pytest.mark.parametrize(("cut", "why"), [(6, "not below the 6"), (-1, "at least 0"), ("2", "whole number")])
def test_cut_lies_before_the_last_step(shelf: SearchCatalogue, cut: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        from_flat(IMAGES | {"steps": 6, "cut": cut}, shelf)
