"""A search ends when the last 20 finished trials added less than a share of the hypervolume."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study, reopen_study
from spikefront.runners.engine.memory.order import Order
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.patience import WINDOW, Patience
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import Objective, OptionError, Space, parse_set

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (
    Objective("quality", maximize=True, worst=0.0, best=1.0),
    Objective("cost", maximize=False, worst=1.0, best=0.0),
)
SPACE = Space(REGISTRY, "digits", [parse_set("coding=direct"), parse_set("backbone=mlp")])


def begin(folder: Path, order: Order | None = None) -> StudyRecord:
    settings = SearchSettings(name="s", folder=folder, sampler="random")
    study = create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), {"options": {}})
    return StudyRecord(study, OBJECTIVES, order=order)


def resumed(folder: Path, order: Order | None = None) -> StudyRecord:
    settings = SearchSettings(name="s", folder=folder, sampler="random", resume="s")
    record = StudyRecord(reopen_study(settings, make_sampler(settings, REGISTRY)), OBJECTIVES, order=order)
    record.take_up()
    return record


def ask(record: StudyRecord) -> int:
    trial = record.ask()
    record.chosen(trial, record.suggested(trial, SPACE), 1.0)
    return trial.number


def tell(record: StudyRecord, number: int, quality: float) -> None:
    """End a trial that costs nothing, so that its quality is its hypervolume."""
    record.tell(number, "COMPLETE", "", {"quality": quality, "cost": 0.0}, epoch=1)


def test_the_gain_of_the_last_twenty_finished_trials_decides(tmp_path: Path) -> None:
    record, patience = begin(tmp_path), Patience(begin(tmp_path / "other"), None)
    assert patience.looks(99) == ""
    patience = Patience(record, 0.01)
    tell(record, ask(record), 0.5)
    for _ in range(WINDOW - 1):
        tell(record, ask(record), 0.1)  # adds nothing
    record.tell(ask(record), "PRUNED", "stopped", {"quality": 0.9, "cost": 0.0}, epoch=1)  # not finished
    record.tell(ask(record), "FAIL", "loss is nan", {})
    assert patience.looks(len(record.order)) == ""
    tell(record, ask(record), 0.504)  # 0.004 / 0.504 = 0.79 % in the last 20
    reason = "the last 20 finished trials added 0.79 % of the hypervolume of 0.5040, less than the 1 % of --patience"
    assert patience.looks(len(record.order)) == reason
    assert Patience(record, 0.007).looks(len(record.order)) == ""
    assert Patience(record, 0.0).looks(len(record.order)) == ""
    tell(record, ask(record), 0.9)
    assert patience.looks(len(record.order)) == reason  # it stays as it was


def test_a_gain_goes_on_counting_for_twenty_trials(tmp_path: Path) -> None:
    record = begin(tmp_path)
    for number in range(2 * WINDOW + 1):
        tell(record, ask(record), 0.5 if number < WINDOW else 0.6)
        assert bool(Patience(record, 0.01).looks(len(record.order))) == (number == 2 * WINDOW)


@pytest.mark.parametrize("workers", [None, 3])
def test_who_ends_first_and_a_resume_change_nothing(tmp_path: Path, workers: int | None) -> None:
    """The decision falls at the same training, whether its neighbours end before or after it, or run again."""
    found = []
    for name, late in (("even", 0), ("late", 2)):
        record = begin(tmp_path / name, Order(workers))
        patience, running, reason = Patience(record, 0.02), list[int](), ""
        while not (reason := patience.looks(len(record.order))) and len(record.order) < 99:
            running.append(ask(record))
            if late and len(record.order) == 25:  # two of them run
                record = resumed(tmp_path / name, Order(workers))
                patience, running = Patience(record, 0.02), [ask(record) for _ in running]
            while len(running) > late or not record.order.is_ready(len(record.order)):
                number = running.pop(-(len(record.order) % 2))
                tell(record, number, 1 - 1 / (2 + record.order.ordinal(number)))
        found.append((reason, len(record.order) if workers else 0))
    assert found[0] == found[1]


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5])
def test_a_patience_that_is_no_share_is_refused(value: float) -> None:
    with pytest.raises(OptionError, match=r"must be 0 \(for no such end\) or more, below 1"):
        SearchSettings("digits", patience=value)
