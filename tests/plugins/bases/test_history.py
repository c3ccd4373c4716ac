"""History of a study: what samplers read of it, once."""

from __future__ import annotations

import gc
import random
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from spikefront.plugins.bases import history
from spikefront.plugins.bases.history import history_of

LETTERS = CategoricalDistribution(list("abcdefghij"))


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"])


def begin(study: optuna.Study, letter: str) -> optuna.Trial:
    trial = study.ask()
    trial.storage.set_trial_param(trial._trial_id, "letter", LETTERS.to_internal_repr(letter), LETTERS)
    return trial


def test_trials_that_end_in_any_order_stand_by_number_as_if_all_were_read_at_the_end(study: optuna.Study) -> None:
    draws = random.Random(0)
    running: list[optuna.Trial] = []
    for _ in range(60):
        running.append(begin(study, draws.choice("abcdefgh")))
        if draws.random() < 0.8:
            trial = running.pop(draws.randrange(len(running)))
            if draws.random() < 0.3:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    trial.set_constraint("latency", draws.uniform(-1, 1))
                trial.set_user_attr("points", np.full((draws.randrange(3), 3), trial.number))
                study.tell(trial, [draws.random(), draws.random()])
        found = history_of(study)

    ended = study.get_trials(states=(TrialState.COMPLETE,))
    assert [trial.number for trial in found.complete] == [trial.number for trial in ended]
    over = [max(trial.constraints["latency"], 0.0) for trial in ended]
    assert found.rows.tolist() == [[*trial.values, excess] for trial, excess in zip(ended, over, strict=True)]
    assert [some.tolist() for some in found.points] == [trial.user_attrs["points"].tolist() for trial in ended]
    assert found.count == 60
    rows, owners = found.with_points()
    assert rows[: len(ended)].tolist() == found.rows.tolist()
    assert owners[: len(ended)].tolist() == list(range(len(ended)))
    assert rows[len(ended) :, 0].tolist() == [ended[owner].number for owner in owners[len(ended) :].tolist()]


def test_parameters_are_tried_while_a_trial_runs_and_after_it_failed(study: optuna.Study) -> None:
    trial = begin(study, "a")
    assert {"letter": "a"} in history_of(study)
    study.tell(trial, state=TrialState.FAIL)
    assert {"letter": "a"} in history_of(study)
    assert {"letter": "b"} not in history_of(study)
    assert {"letter": "a", "other": 1} not in history_of(study)


def test_a_trial_that_has_ended_is_read_once(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = history.History._read

    def counted(self: history.History, trial: optuna.trial.FrozenTrial) -> None:
        read.append(trial.number)
        whole(self, trial)

    monkeypatch.setattr(history.History, "_read", counted)
    for letter in "abc":
        study.tell(begin(study, letter), [0.0, 0.0])
        history_of(study)
        history_of(study)
    assert read == [0, 1, 2]


def test_trials_without_points_keep_no_earlier_rows(study: optuna.Study) -> None:
    for letter in "abc":
        study.tell(begin(study, letter), [0.0, 0.0])
        found = history_of(study)
    assert [some.shape for some in found.points] == [(0, 3)] * 3
    assert all(some.base is None for some in found.points)


def test_each_study_has_a_history_of_its_own_which_goes_with_it(study: optuna.Study) -> None:
    other = optuna.create_study(directions=["minimize"])
    begin(other, "a")
    assert history_of(study).count == 0
    assert history_of(other).count == 1
    known = len(history._OF_STUDIES)
    del other
    gc.collect()
    assert len(history._OF_STUDIES) == known - 1
