"""Cheap candidates first, none twice, and none that can't end in time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.proposing.affordable import AffordableSampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.fresh import seed_of
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Candidate, Objective, Space, parse_set

ACCURACY = Objective("quality", maximize=True, worst=0.0, best=1.0)
REGISTRY = load_registry(third_parties=False)


def by_steps(candidate: Candidate) -> float:
    return float(candidate.steps)


def begin(settings: SearchSettings) -> StudyRecord:
    study = create_study(settings, (ACCURACY, ENERGY), make_sampler(settings, REGISTRY))
    return StudyRecord(study, (ACCURACY, ENERGY))


def search(
    tmp_path: Path,
    space: Space,
    trials: int,
    room_s: Callable[[], float] = lambda: math.inf,
    sampler: str = "tpe",
    startup: int = 10,
    count: Callable[[Candidate], float] = by_steps,
) -> list[Candidate]:
    """Run a search whose trials say that more steps are better, and more expensive."""
    settings = SearchSettings(name="s", folder=tmp_path, sampler=sampler)
    record, make = begin(settings), make_sampler(settings, REGISTRY).make
    record.study.sampler = AffordableSampler(make, space, Shown(record), CostModel(count), room_s, startup)
    found = []
    for _ in range(trials):
        trial = record.ask()
        found.append(space.suggest(trial))
        record.chosen(trial, found[-1])
        metrics = {"quality": 1 - 1 / found[-1].steps, "energy_nj": 10.0 * found[-1].steps}
        record.tell(trial.number, "COMPLETE", "", metrics)
    return found


def test_the_codings_take_turns_at_the_start(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate,latency,direct,phase,sac")])
    found = search(tmp_path, space, 10)
    assert set(Counter(candidate.coding.name for candidate in found).values()) == {2}


def test_the_start_is_cheap(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate")])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    blind = [space.suggest(study.ask()).steps for _ in range(40)]
    thrifty = [candidate.steps for candidate in search(tmp_path, space, 10)]
    # of four draws the cheapest: on average below the lowest quarter of single draws
    assert sum(thrifty) / 10 < sorted(blind)[len(blind) // 2]


def test_each_coding_is_tried_at_the_start_however_many_there_are(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("backbone=mlp")])
    assert len(space.codings) > 10
    found = search(tmp_path, space, len(space.codings), sampler="random")
    assert sorted(candidate.coding.name for candidate in found) == sorted(space.codings)


def test_half_of_the_hyperparameters_of_the_start_have_their_default(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate,direct"), parse_set("steps=1..12")])
    default = space.default(coding="rate").flat()
    found = [candidate.flat() for candidate in search(tmp_path, space, 60, sampler="random", startup=40)]
    rates = [flat["training.optimizer.adam.lr"] == default["training.optimizer.adam.lr"] for flat in found]
    assert sum(rates[:40]) / 40 == pytest.approx(0.5, abs=0.2)  # a random draw of a real number never is the default
    assert not any(rates[40:])
    assert {flat["backbone"] for flat in found[:40]} >= {"mlp", "convnet"}
    assert len({flat["steps"] for flat in found[:40]}) > 3  # T is drawn always


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_a_candidate_is_judged_but_once_while_there_are_others(tmp_path: Path, sampler: str) -> None:
    narrowed = [parse_set(text) for text in ("coding=direct", "neuron=if", "backbone=mlp", "steps=2..8")]
    rows = Space(REGISTRY, "digits", narrowed).rows()
    pins = [parse_set(f"{row.name}={row.default}") for row in rows if row.searched and row.name != "steps"]
    found = search(tmp_path, Space(REGISTRY, "digits", [*narrowed, *pins]), 7, sampler=sampler, startup=2)
    assert sorted(candidate.steps for candidate in found) == [2, 3, 4, 5, 6, 7, 8]


def test_what_can_not_end_in_time_is_not_begun(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate"), parse_set("steps=1..16")])
    found = search(tmp_path, space, 30, room_s=lambda: 5.0, startup=0)
    assert max(candidate.steps for candidate in found) <= 4  # 4 * 1.1 <= 5 < 5 * 1.1


def test_what_can_not_be_counted_gets_its_chance(tmp_path: Path) -> None:
    def count(candidate: Candidate) -> float:
        return math.inf if candidate.coding.name == "direct" else 100.0

    space = Space(REGISTRY, "digits", [parse_set("coding=rate,direct")])
    found = search(tmp_path, space, 5, room_s=lambda: 5.0, startup=0, count=count)
    assert {candidate.coding.name for candidate in found} == {"direct"}


def test_when_nothing_fits_the_cheapest_is_begun(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate"), parse_set("steps=2..16")])
    found = search(tmp_path, space, 5, room_s=lambda: 0.5, startup=0)
    assert max(candidate.steps for candidate in found) <= 4


def test_what_was_queued_is_judged_as_it_is(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate,direct")])
    settings = SearchSettings(name="s", folder=tmp_path)
    record, make = begin(settings), make_sampler(settings, REGISTRY).make
    record.study.sampler = AffordableSampler(make, space, Shown(record), CostModel(by_steps), lambda: 1.0)
    queued = space.fitted([{"coding": "direct", "steps": 8}, {"coding": "rate", "steps": 16}])
    record.begin_with(queued)
    found = [space.suggest(record.ask()) for _ in range(2)]
    assert [(candidate.coding.name, candidate.steps) for candidate in found] == [("direct", 8), ("rate", 16)]


def test_beyond_the_start_the_first_proposal_is_the_samplers_own(tmp_path: Path) -> None:
    """Without a limit on time, what is judged is what the bare sampler would have judged."""
    space = Space(REGISTRY, "digits", [parse_set("coding=rate,direct,latency")])
    thrifty = search(tmp_path, space, 16, sampler="evolution", startup=0)
    settings = SearchSettings(name="t", folder=tmp_path, sampler="evolution")
    record, make = begin(settings), make_sampler(settings, REGISTRY).make
    bare = []
    for number in range(16):
        record.study.sampler = make(seed_of(settings.seed, number, 0))
        trial = record.ask()
        bare.append(space.suggest(trial))
        metrics = {"quality": 1 - 1 / bare[-1].steps, "energy_nj": 10.0 * bare[-1].steps}
        record.tell(trial.number, "COMPLETE", "", metrics)
    assert thrifty == bare


STEPPED = """
from dataclasses import dataclass
from typing import Annotated
from spikefront.plugins import Coding, Float, hookimpl

@dataclass(frozen=True, slots=True)
class Config:
    gain: Annotated[float, Float(0, 1, step=0.25)] = 0.5

class Mine(Coding):
    name = "mine"
    Config = Config

@hookimpl
def register_codings(register):
    register(Mine)
"""


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", pytest.param("gp", marks=pytest.mark.slow), "random"])
def test_every_sampler_draws_a_float_with_a_step_in_steps(tmp_path: Path, sampler: str) -> None:
    (tmp_path / "mine.py").write_text(STEPPED)
    space = Space(load_registry([tmp_path], third_parties=False), "digits", [parse_set("coding=mine")])
    drawn = {c.coding.config.gain for c in search(tmp_path, space, 16, sampler=sampler, startup=4)}
    assert len(drawn) > 2
    assert drawn <= {0.0, 0.25, 0.5, 0.75, 1.0}
