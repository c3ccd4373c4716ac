"""The searcher between Tune and the study: open trials, the end of the search, and rules that stop trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from spikefront.plugins import StoppingRule, load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.placing.bridge import StudySearcher
from spikefront.runners.engine.placing.files import UNSEEN
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Callbacks, Objective, Space, Trial, parse_set

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    settings = SearchSettings(name="s", folder=tmp_path)
    return StudyRecord(create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY)), OBJECTIVES)


@pytest.fixture
def searcher(tmp_path: Path, record: StudyRecord) -> StudySearcher:
    space = Space(REGISTRY, "digits", [parse_set("training.epochs=2")])
    return StudySearcher(record, space, Callbacks(), trials=3, workers=2, weights=tmp_path, end=lambda reason: None)


def result(quality: float) -> dict[str, Any]:
    return {"epoch": 2, "metrics/quality": quality, "metrics/energy_nj": 10.0, "metrics/seconds": 1.0}


def test_at_most_one_suggestion_per_worker_is_open(record: StudyRecord, searcher: StudySearcher) -> None:
    first, second = searcher.suggest("a"), searcher.suggest("b")
    assert (first["number"], second["number"]) == (0, 1)
    assert searcher.suggest("c") is None  # Tune asks again
    searcher.on_trial_complete("a", result(0.5))
    assert searcher.suggest("c")["number"] == 2
    searcher.on_trial_complete("b", result(0.7))
    assert searcher.suggest("d") is Searcher.FINISHED
    assert [trial.number for trial in record.front.members] == [1]


class Heard(Callbacks):
    """Notes which events come with points, in their order."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        self.events.append((number, points))

    def trial_ended(self, number: int, *rest: object) -> None:
        self.events.append(number)


def test_points_of_a_result_are_told_before_the_end_of_its_trial(record: StudyRecord, tmp_path: Path) -> None:
    heard = Heard()
    space = Space(REGISTRY, "digits", [parse_set("training.epochs=2")])
    searcher = StudySearcher(record, space, heard, trials=3, workers=2, weights=tmp_path, end=lambda reason: None)
    searcher.suggest("a")
    searcher.suggest("b")
    points = {"points/10/quality": 0.4, "points/10/energy_nj": 3.0, "points/2/quality": 0.3, "points/2/energy_nj": 1.0}
    searcher.on_trial_complete("a", result(0.5) | points)
    searcher.on_trial_complete("b", result(0.6))
    by_cut = {2: {"quality": 0.3, "energy_nj": 1.0}, 10: {"quality": 0.4, "energy_nj": 3.0}}
    assert heard.events == [(0, by_cut), 0, 1]
    assert [one.name for one in record.front.members] == ["0@2", "0@10", "1"]


def test_last_trials_know_how_long_the_others_take(searcher: StudySearcher) -> None:
    searcher.suggest("a")
    assert math.isinf(searcher.others_s())  # there is enough left for every worker
    searcher.suggest("b")
    assert math.isinf(searcher.others_s())  # nothing was predicted, so nothing is held back
    searcher.end_all("PRUNED", "time is up")
    assert math.isinf(searcher.others_s())


class Stops(StoppingRule):
    """Stops every trial."""

    name = "stops"

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        return f"enough at epoch {trial.epoch} of {trial.budget}"


class Raises(StoppingRule):
    """Fails at its first decision."""

    name = "raises"

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        raise ZeroDivisionError("no epochs")


class Unstorable(StoppingRule):
    """Has a state that is not JSON."""

    name = "unstorable"

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        return None

    def state(self, number: int) -> object:
        return object()


@pytest.mark.parametrize("faulty", [Raises, Unstorable])
def test_a_rule_that_fails_is_left_out_and_the_others_go_on(
    faulty: type[StoppingRule], record: StudyRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = Space(REGISTRY, "digits", [parse_set("training.epochs=4")])
    searcher = StudySearcher(
        record, space, Callbacks(), 3, 2, tmp_path, lambda reason: None, rules=lambda: [faulty(), Stops()]
    )
    for trial in ("a", "b"):
        searcher.suggest(trial)
        assert searcher.decide(trial, result(0.5)) == "enough at epoch 2 of 4"
    assert [line for line in caplog.messages if f"stopping rule {faulty.name} failed" in line] == caplog.messages
    assert len(caplog.messages) == 1  # not again for the second trial
    searcher.on_trial_complete("a", result(0.5))
    assert record.earlier[0].state == "PRUNED"


def test_what_could_not_be_recorded_is_said_once_for_each_reason(
    record: StudyRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = Space(REGISTRY, "digits", [parse_set("training.epochs=2")])
    searcher = StudySearcher(record, space, Callbacks(), 3, 3, tmp_path, lambda reason: None)
    for trial, reason in (("a", "no shape"), ("b", "no shape"), ("c", "")):
        searcher.suggest(trial)
        searcher.on_trial_complete(trial, {**result(0.5), UNSEEN: reason})
    assert caplog.messages == ["trial 0: what its network does was not recorded: no shape"]
    assert searcher.states["COMPLETE"] == 3
