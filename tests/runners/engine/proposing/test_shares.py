"""Codings get the same compute to be tuned with, whatever one of their trials costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study, reopen_study
from spikefront.runners.engine.memory.order import Order
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.proposing.affordable import AffordableSampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.fresh import FreshSampler
from spikefront.runners.engine.proposing.shares import Shares, line
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Candidate, Objective, OptionError, Space, parse_set

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
PRICES = {"direct": 1.0, "latency": 3.0, "rate": 9.0}
SPACE = Space(REGISTRY, "digits", [parse_set("coding=direct,latency,rate"), parse_set("training.epochs=4")])


def price(candidate: Candidate) -> float:
    return PRICES[candidate.coding.name]


def begin(folder: Path, fair: bool = True, space: Space = SPACE, thrifty: bool = False) -> StudyRecord:
    settings = SearchSettings(name="s", folder=folder, sampler="tpe")
    plugin = make_sampler(settings, REGISTRY)
    record = StudyRecord(create_study(settings, OBJECTIVES, plugin, {"options": {}}), OBJECTIVES, order=Order(1))
    wire(record, fair, space, thrifty)
    return record


def wire(record: StudyRecord, fair: bool, space: Space = SPACE, thrifty: bool = False) -> None:
    make = make_sampler(SearchSettings(name="s", sampler="tpe"), REGISTRY).make
    shares = Shares(record, space.codings) if fair else None
    if thrifty:
        cost = CostModel(price)
        record.study.sampler = AffordableSampler(make, space, Shown(record), cost, lambda: 5.0, 4, shares=shares)
    else:
        record.study.sampler = FreshSampler(make, space, Shown(record), shares=shares)


def run(record: StudyRecord, count: int, space: Space = SPACE, stop: str = "") -> list[Candidate]:
    """Run trials, of which those of one coding are stopped after the first of four epochs."""
    found = []
    for _ in range(count):
        trial = record.ask()
        candidate = record.suggested(trial, space)
        record.chosen(trial, candidate, price(candidate))
        metrics = {"quality": 1 - 1 / candidate.steps, "energy_nj": 10.0 * candidate.steps}
        is_stopped = candidate.coding.name == stop
        state, epoch = ("PRUNED", 1) if is_stopped else ("COMPLETE", 4)
        record.tell(trial.number, state, "", metrics, epoch)  # type: ignore[arg-type]
        found.append(candidate)
    return found


@pytest.mark.parametrize("thrifty", [False, True])
def test_each_coding_gets_the_same_compute(tmp_path: Path, thrifty: bool) -> None:
    record = begin(tmp_path, thrifty=thrifty)
    counts = Counter(candidate.coding.name for candidate in run(record, 26))
    assert counts == {"direct": 18, "latency": 6, "rate": 2}  # 18 x 1, 6 x 3, 2 x 9
    assert Shares(record, SPACE.codings).spent() == {"direct": 18.0, "latency": 18.0, "rate": 18.0}
    other = begin(tmp_path / "unfair", fair=False)
    assert Counter(candidate.coding.name for candidate in run(other, 26)) != counts


def test_a_trial_that_was_stopped_counts_by_its_epochs(tmp_path: Path) -> None:
    record = begin(tmp_path)
    counts = Counter(candidate.coding.name for candidate in run(record, 17, stop="rate"))
    spent = Shares(record, SPACE.codings).spent()
    assert spent == {name: PRICES[name] * (0.25 if name == "rate" else 1.0) * counts[name] for name in PRICES}
    assert max(spent.values()) - min(spent.values()) <= 9.0  # no more than the most expensive trial
    assert counts["rate"] > 2


def test_a_trial_that_runs_counts_in_full(tmp_path: Path) -> None:
    record = begin(tmp_path)
    trial = record.ask()
    record.chosen(trial, record.suggested(trial, SPACE), 7.0)
    assert Shares(record, SPACE.codings).spent() == {"direct": 7.0, "latency": 0.0, "rate": 0.0}
    assert Shares(record, SPACE.codings).least_first(1) == ["latency", "rate", "direct"]


def test_a_resumed_search_goes_on_fairly(tmp_path: Path) -> None:
    whole = run(begin(tmp_path / "whole"), 15)
    first = run(begin(tmp_path / "half"), 7)
    settings = SearchSettings(name="s", folder=tmp_path / "half", resume="s")
    study = reopen_study(settings, make_sampler(settings, REGISTRY))
    record = StudyRecord(study, OBJECTIVES, order=Order(1))
    wire(record, fair=True)
    assert [*first, *run(record, 8)] == whole


def test_a_coding_of_which_all_candidates_are_tried_is_passed_over(tmp_path: Path) -> None:
    pins = [parse_set(text) for text in ("coding=direct,latency", "neuron=if", "backbone=mlp", "steps=4,5")]
    rows = [row for row in Space(REGISTRY, "digits", pins).rows() if row.searched]
    held = [row for row in rows if row.name not in ("coding", "steps") and not row.name.startswith("coding.latency")]
    space = Space(REGISTRY, "digits", [*pins, *(parse_set(f"{row.name}={row.default}") for row in held)])
    names = [candidate.coding.name for candidate in run(begin(tmp_path, space=space), 8, space)]
    assert Counter(names) == {"direct": 2, "latency": 6}  # of direct there are two, of 4 and of 5 steps


def test_shares_in_words() -> None:
    assert line({"rate": 1.0, "direct": 3.0}) == "compute by coding: direct 75 %, rate 25 %"
    assert line({"rate": 0.0}) == ""


def test_fair_shares_need_counted_costs() -> None:
    with pytest.raises(OptionError, match="cost_aware=False: fair= needs the costs that it counts"):
        SearchSettings("digits", fair=True, cost_aware=False)
