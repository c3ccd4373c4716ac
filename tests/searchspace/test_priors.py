"""What a search begins with: defaults, published settings exactly as they are, and starting points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
import pytest
from tests.searchspace.conftest import Shelf

from spikefront.searchspace import SearchCatalogue, Space, UsageError, Value, parse_set


class Library(Shelf):
    """A shelf with what publications and others have done."""

    def __init__(self, *published: Mapping[str, Value], starting: Sequence[Mapping[str, Value]] = ()) -> None:
        self._published = published
        self._starting = starting

    def published(self, coding: str) -> Sequence[Mapping[str, Value]]:
        return self._published if coding == "tcja" else ()

    def starting_points(self, coding: str) -> Sequence[Mapping[str, Value]]:
        return self._starting if coding == "tcja" else ()


def space(shelf: SearchCatalogue, *texts: str, task: str = "images") -> Space:
    return Space(shelf, task, [parse_set(text) for text in texts])


def of_tcja(searched: Space) -> list[dict[str, Value]]:
    """Return the flat priors of coding tcja but for its defaults, as a study proposes them."""
    study = optuna.create_study()
    priors = [prior for prior in searched.priors() if prior.candidate.coding.name == "tcja"]
    for prior in priors:
        study.enqueue_trial(dict(prior.answers))
    found = [searched.suggest(study.ask(), prior.pinned) for prior in priors]
    assert found == [prior.candidate for prior in priors]
    return [candidate.flat() for candidate in found[1:]]


def test_priors_are_the_defaults_of_each_coding_then_what_was_published(shelf: SearchCatalogue) -> None:
    searched = space(shelf)
    found = [prior.candidate for prior in searched.priors()]
    assert [candidate.coding.name for candidate in found] == ["css", "direct", "tcja", "tcja"]
    assert found[:3] == [searched.default(coding=coding) for coding in ("css", "direct", "tcja")]
    assert [prior.kind for prior in searched.priors()] == ["", "", "", "published settings"]
    (flat,) = of_tcja(searched)
    assert (flat["steps"], flat["coding.tcja.kernel"], flat["backbone"]) == (8, 7, "vgg")
    assert searched.priors_left_out() == []


def test_pinned_hyperparameters_of_a_prior_are_let_through() -> None:
    settings: dict[str, Value] = {
        "steps": 8,
        "neuron": "lif",
        "neuron.lif.detach": False,
        "training.optimizer": "sgd",
        "training.batch": 7,
        "training.mix": "cutmix",
        "training.mix_alpha": 0.5,
    }
    (flat,) = of_tcja(space(Library(settings)))
    assert flat.items() >= settings.items()
    assert flat["training.epochs"] == 15  # what was not published stays at its default


def test_a_prior_that_does_not_fit_is_left_out_and_named() -> None:
    library = Library({"steps": 8, "training.batch": 7}, starting=({"backbone": "vgg"},))
    assert space(library).priors_left_out() == []
    narrowed = space(library, "training.batch=16,32", "backbone=mlp,convnet")
    assert of_tcja(narrowed) == []
    assert narrowed.priors_left_out() == [
        "published settings of tcja (training.batch=7)",
        "a starting point of tcja (backbone=vgg)",
    ]
    (flat,) = of_tcja(space(library, "training.batch=7..32", "backbone=mlp"))  # an opened range that holds it
    assert (flat["training.batch"], flat["steps"], flat["backbone"]) == (7, 8, "mlp")
    assert space(library, "coding=direct").priors_left_out() == []


def test_priors_stay_in_the_space(shelf: SearchCatalogue) -> None:
    searched = space(shelf, "coding=tcja", "steps=2..4", "backbone=mlp")
    (prior,) = searched.priors()
    assert (prior.candidate.steps, prior.candidate.backbone.name) == (4, "mlp")
    assert searched.priors_left_out() == ["published settings of tcja (steps=8, coding.tcja.kernel=7, backbone=vgg)"]


def test_settings_of_another_task_are_not_those_of_this_one() -> None:
    library = Library({"task": "gestures", "steps": 8}, {"task": "images", "steps": 5})
    assert [flat["steps"] for flat in of_tcja(space(library))] == [5]
    assert space(library).priors_left_out() == []


def test_steps_beyond_the_searched_range_are_let_through_or_opened_by_name() -> None:
    library = Library({"steps": 20})  # searched over 2..16, opened to 20
    (flat,) = of_tcja(space(library))
    assert flat["steps"] == 20
    assert steps(library) == "2..16 (log)"
    assert steps(library, "steps=8..20") == "8..16 (log)"
    assert steps(library, "steps=8,20") == "8, 20"
    assert of_tcja(space(library, "coding=tcja", "steps=4..8")) == []


def steps(shelf: SearchCatalogue, *texts: str) -> str:
    """Return what a space with coding tcja searches of the time steps."""
    return next(row.domain for row in space(shelf, "coding=tcja", *texts).rows() if row.name == "steps")


def test_steps_that_nobody_takes_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        space(Library(), "coding=tcja", "steps=1")
    assert str(caught.value) == (
        "coding 'tcja' is searched over steps 2..16 (log), and takes 2..20 (log) where they are named one by one; "
        "none are kept"
    )
