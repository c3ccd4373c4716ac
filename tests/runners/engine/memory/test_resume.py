"""The journal after a driver died: what was judged stays, what was not is judged again, nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import TrialState

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.journal import DriverLock, JournalError, open_journal, read_attributes
from spikefront.runners.engine.memory.opening import create_study, reopen_study, spent_s
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.placing.files import checkpoint_file
from spikefront.runners.engine.proposing.fresh import FreshSampler
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.search import _tidy_checkpoints, trials_left
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Objective, SearchInfo, Space, UnknownName, UsageError

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
GOOD = {"quality": 0.9, "energy_nj": 1000.0}


def search_settings(tmp_path: Path, **more: Any) -> SearchSettings:
    return SearchSettings(name="s", folder=tmp_path, **more)


def create(tmp_path: Path) -> optuna.Study:
    settings = search_settings(tmp_path)
    return create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), {"options": {}})


def reopen(tmp_path: Path) -> optuna.Study:
    settings = search_settings(tmp_path, resume="s")
    return reopen_study(settings, make_sampler(settings, REGISTRY))


def begin(tmp_path: Path, space: Space, ended: int, running: int) -> StudyRecord:
    """Begin a search: some trials have ended, some run."""
    record = StudyRecord(create(tmp_path), OBJECTIVES)
    for number in range(ended + running):
        trial = record.ask()
        record.chosen(trial, space.suggest(trial))
        if number < ended:
            record.tell(number, "COMPLETE", "", {**GOOD, "energy_nj": 10.0 + number}, epoch=3)
    return record


def take_up(tmp_path: Path) -> StudyRecord:
    record = StudyRecord(reopen(tmp_path), OBJECTIVES)
    record.take_up()
    return record


def test_what_was_judged_stays_and_what_ran_is_judged_again(tmp_path: Path, space: Space) -> None:
    begun = begin(tmp_path, space, ended=3, running=2)
    before = [trial.user_attrs["candidate"] for trial in begun.study.trials]
    record = take_up(tmp_path)
    assert [(trial.number, trial.state, trial.again) for trial in record.earlier] == [
        (0, "COMPLETE", False),
        (1, "COMPLETE", False),
        (2, "COMPLETE", False),
        (3, "FAIL", True),
        (4, "FAIL", True),
    ]
    assert len(record.front.trials) == 3
    again = [record.ask() for _ in range(2)]
    assert [trial.user_attrs["retry_of"] for trial in again] == [3, 4]
    assert [space.suggest(trial).flat() for trial in again] == before[3:]
    assert "retry_of" not in record.ask().user_attrs  # then new ones


def test_taking_up_twice_queues_nothing_twice(tmp_path: Path, space: Space) -> None:
    begin(tmp_path, space, ended=1, running=2)
    for _ in range(3):
        record = take_up(tmp_path)
    assert len(record.study.get_trials(states=(TrialState.WAITING,))) == 2
    assert not record.study.get_trials(states=(TrialState.RUNNING,))


def test_trial_that_died_again_is_judged_once_more(tmp_path: Path, space: Space) -> None:
    begin(tmp_path, space, ended=0, running=1)
    record = take_up(tmp_path)
    space.suggest(record.ask())  # runs when the second driver dies
    record = take_up(tmp_path)
    (waiting,) = record.study.get_trials(states=(TrialState.WAITING,))
    assert waiting.user_attrs["retry_of"] == 1
    assert sum(not trial.again for trial in record.earlier) == 0


def test_end_that_was_half_recorded_is_finished_not_repeated(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=0, running=1)
    outcome = {"state": "COMPLETE", "reason": "", "metrics": GOOD, "epoch": 5, "again": False}
    record.study._storage.set_trial_user_attr(record.study.trials[0]._trial_id, "outcome", outcome)
    (trial,) = take_up(tmp_path).earlier
    assert (trial.state, trial.metrics, trial.epoch, trial.again) == ("COMPLETE", GOOD, 5, False)


def test_trial_without_a_candidate_is_not_written_and_the_next_has_its_place(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=1, running=0)
    space.suggest(record.ask())
    record = take_up(tmp_path)
    assert (len(record.study.trials), record.next) == (1, 1)


@pytest.mark.parametrize("suggested", [True, False])
def test_trial_that_was_asked_for_but_not_chosen_is_proposed_again(
    tmp_path: Path, space: Space, suggested: bool
) -> None:
    record = begin(tmp_path, space, ended=1, running=0)
    trial = record.ask()
    if suggested:
        space.suggest(trial)
    record.study.set_user_attr("of a sampler", 1)  # as what a sampler keeps does, it writes what is before it
    (waiting,) = take_up(tmp_path).study.get_trials(states=(TrialState.WAITING,))
    assert waiting.system_attrs["fixed_params"] == {}  # the sampler is asked, which proposes the same


def test_queued_trial_that_was_not_chosen_is_queued_again_as_it_was(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=1, running=0)
    (prior, *_) = space.fitted([{"coding": "rate", "steps": 5}])
    record.begin_with([prior])
    record.ask()
    (waiting,) = take_up(tmp_path).study.get_trials(states=(TrialState.WAITING,))
    assert waiting.system_attrs["fixed_params"] == dict(prior.answers)


def test_trial_broken_off_by_the_end_of_a_search_is_judged_again_when_resumed(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=0, running=1)
    record.tell(0, "PRUNED", "time is up at epoch 1 of 3", {}, epoch=1, again=True)
    record = take_up(tmp_path)
    assert record.earlier[0].state == "PRUNED"
    assert record.ask().user_attrs["retry_of"] == 0


def test_unsettled_are_the_trials_that_a_resumed_search_goes_on_with(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=1, running=3)
    record.tell(1, "PRUNED", "time is up at epoch 1 of 3", {}, epoch=1, again=True)
    assert record.unsettled == {1, 2, 3}
    record = take_up(tmp_path)  # the driver died; its trials are queued again
    assert record.unsettled == {1, 2, 3}
    again = record.ask()
    assert again.user_attrs["retry_of"] == 1
    assert record.unsettled == {again.number, 2, 3}
    space.suggest(again)
    record.tell(again.number, "COMPLETE", "", GOOD, epoch=5)
    assert record.unsettled == {2, 3}


def test_at_the_end_checkpoints_are_those_of_unsettled_trials(tmp_path: Path) -> None:
    settings = search_settings(tmp_path)
    folder = checkpoint_file(settings.weights, 0).parent
    folder.mkdir(parents=True)
    for name in ("trial-00001.pt", "trial-00002.pt", "trial-00002.hang", "trial-00003.pt.part"):
        (folder / name).touch()
    _tidy_checkpoints(settings, {2})
    assert [path.name for path in folder.iterdir()] == ["trial-00002.pt"]
    _tidy_checkpoints(settings, ())
    assert not folder.exists()


def test_budget_counts_what_has_ended_but_not_what_is_judged_again(tmp_path: Path, space: Space) -> None:
    begin(tmp_path, space, ended=3, running=2)
    info = SearchInfo("s", "digits", "accuracy", OBJECTIVES, tmp_path, 10, None, {}, {}, take_up(tmp_path).earlier)
    assert trials_left(search_settings(tmp_path, trials=10), info) == 7
    assert trials_left(search_settings(tmp_path, trials=2), info) == 0
    assert trials_left(search_settings(tmp_path, trials=None, time=5.0), info) is None


def test_new_candidates_are_not_those_drawn_before(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=4, running=0)
    before = [trial.params for trial in record.study.trials]
    record = take_up(tmp_path)
    make = make_sampler(search_settings(tmp_path), load_registry()).make
    record.study.sampler = FreshSampler(make, space, Shown(record))
    for _ in range(4):
        trial = record.ask()
        record.chosen(trial, space.suggest(trial))
        assert trial.params not in before


@given(cut=st.integers(1, 400))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_journal_cut_anywhere_loses_no_trial_that_had_ended(
    tmp_path_factory: pytest.TempPathFactory, space: Space, cut: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("cut")
    begin(tmp_path, space, ended=2, running=1)
    path = tmp_path / "s" / "journal.log"
    whole = path.read_bytes()
    size = len(whole)
    begun = begin_more(tmp_path, space)
    path.write_bytes(path.read_bytes()[: size + cut])
    record = take_up(tmp_path)
    assert [trial.number for trial in record.earlier if trial.state == "COMPLETE"][:2] == [0, 1]
    assert not record.study.get_trials(states=(TrialState.RUNNING,))
    for line in path.read_bytes().splitlines(keepends=True):
        assert line.endswith(b"\n")
    assert begun > 2
    assert len(reopen(tmp_path).trials) >= 3


def begin_more(tmp_path: Path, space: Space) -> int:
    record = StudyRecord(reopen(tmp_path), OBJECTIVES)
    trial = record.ask()
    record.chosen(trial, space.suggest(trial))
    record.tell(trial.number, "COMPLETE", "", GOOD, epoch=3)
    return len(record.study.trials)


def test_second_driver_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from spikefront.runners.engine.memory.journal import DriverLock\n"
        "lock = DriverLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match=rf"^search '{tmp_path.name}' is being run by process {first.pid} on .*; wait"):
        DriverLock(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    DriverLock(tmp_path).release()  # a dead driver holds nothing


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_is_an_error_that_leaves_the_journal_whole(tmp_path: Path, space: Space) -> None:
    record = begin(tmp_path, space, ended=2, running=1)
    path = tmp_path / "s" / "journal.log"
    whole = path.read_bytes()
    limit = len(whole) + 40
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(JournalError, match=r"journal\.log can't be written"):
            record.tell(2, "COMPLETE", "", GOOD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == whole
    assert [trial.again for trial in take_up(tmp_path).earlier] == [False, False, True]


def test_time_spent_is_that_of_the_earlier_drivers(tmp_path: Path, space: Space) -> None:
    begin(tmp_path, space, ended=1, running=0)
    time.sleep(0.5)
    study = reopen(tmp_path)
    assert 0 <= spent_s(study) < 0.5  # until the last trial that ended, not until now


def test_search_that_is_not_there_offers_the_nearest_name(tmp_path: Path, space: Space) -> None:
    begin(tmp_path, space, ended=0, running=0)
    with pytest.raises(UnknownName, match="Did you mean 's'"):
        read_attributes(tmp_path / "ss")


def test_attributes_are_read_without_the_study(tmp_path: Path, space: Space) -> None:
    begin(tmp_path, space, ended=1, running=1)
    assert read_attributes(tmp_path / "s")["search"] == {"options": {}}
    (tmp_path / "t").mkdir()
    open_journal(tmp_path / "t")
    with pytest.raises(UsageError, match="does not say what was searched"):
        read_attributes(tmp_path / "t")


def test_search_whose_driver_died_at_once_begins_anew(tmp_path: Path, space: Space) -> None:
    (tmp_path / "s").mkdir()
    open_journal(tmp_path / "s").create_new_study([StudyDirection.MAXIMIZE], "s")
    record = begin(tmp_path, space, ended=1, running=0)
    assert [trial.number for trial in record.study.trials] == [0]
    with pytest.raises(UsageError, match=r"resume='s'$"):
        create(tmp_path)


def test_permissions_of_the_lock_do_not_outlive_the_process(tmp_path: Path) -> None:
    lock = DriverLock(tmp_path)
    lock.release()
    assert (tmp_path / "driver.lock.holder").read_text().startswith(f"process {os.getpid()} on ")
    DriverLock(tmp_path).release()
