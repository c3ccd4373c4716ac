"""Between Tune and the study: who is asked when, and when there is no more to ask for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.study import StudyRecord, create_study
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.placing.bridge import StudySearcher
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Callbacks, Objective, Space, parse_set

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


def test_nobody_is_asked_for_more_than_there_are_workers_so_that_each_answer_knows_every_result(
    record: StudyRecord, searcher: StudySearcher
) -> None:
    first, second = searcher.suggest("a"), searcher.suggest("b")
    assert (first["number"], second["number"]) == (0, 1)
    assert searcher.suggest("c") is None  # Tune asks again
    searcher.on_trial_complete("a", result(0.5))
    assert searcher.suggest("c")["number"] == 2
    searcher.on_trial_complete("b", result(0.7))
    assert searcher.suggest("d") is Searcher.FINISHED
    assert [trial.number for trial in record.front.members] == [1]


def test_last_trials_know_how_long_the_others_take(searcher: StudySearcher) -> None:
    searcher.suggest("a")
    assert math.isinf(searcher.others_s())  # there is enough left for every worker
    searcher.suggest("b")
    assert math.isinf(searcher.others_s())  # nobody has predicted anything, so nothing is held back
    searcher.end_all("PRUNED", "time is up")
    assert math.isinf(searcher.others_s())
