"""The study in its journal, and the rules by which trials are told."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler, objectives_of
from spikefront.runners.engine.settings import Limits, SearchSettings, TellStopped
from spikefront.searchspace import ENERGY, LATENCY, Objective, Space, State, UnknownName, UsageError, parse_set
from spikefront.searchspace.front import objective_vector

ACCURACY = Objective("quality", maximize=True, worst=0.0, best=1.0)
GOOD = {"quality": 0.9, "energy_nj": 1000.0, "latency_steps": 4.0}
REGISTRY = load_registry(third_parties=False)


def settings(tmp_path: Path, **more: object) -> SearchSettings:
    return SearchSettings(name="trial-run", folder=tmp_path, **more)  # type: ignore[arg-type]


def begin(settings: SearchSettings) -> optuna.Study:
    return create_study(settings, (ACCURACY, ENERGY), make_sampler(settings, REGISTRY))


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    return StudyRecord(begin(settings(tmp_path)), (ACCURACY, ENERGY))


def reopened(tmp_path: Path) -> list[optuna.trial.FrozenTrial]:
    """Read the trials back from the file, as another process would."""
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "trial-run" / "journal.log")))
    return optuna.load_study(study_name="trial-run", storage=storage).get_trials()


def test_energy_and_latency_are_told_as_logarithms() -> None:
    assert objective_vector(GOOD, (ACCURACY, ENERGY, LATENCY)) == [0.9, 3.0, math.log10(4)]


def test_a_finite_vector_is_complete_and_in_the_journal(record: StudyRecord, tmp_path: Path) -> None:
    trial = record.ask()
    assert record.tell(trial.number, "COMPLETE", "", GOOD) == ("COMPLETE", "")
    (frozen,) = reopened(tmp_path)
    assert (frozen.state, frozen.values) == (TrialState.COMPLETE, [0.9, 3.0])
    expected = {"state": "COMPLETE", "reason": "", "metrics": GOOD, "epoch": 0, "again": False, "cost": None}
    assert frozen.user_attrs["outcome"] == expected


def test_points_of_a_trial_are_in_the_journal_and_on_the_front_that_is_made_of_it(tmp_path: Path) -> None:
    record = StudyRecord(begin(settings(tmp_path)), (ACCURACY, ENERGY))
    trial = record.ask()
    points = {2: {"quality": 0.7, "energy_nj": 300.0, "ratio": math.nan}, 1: {"quality": 0.2, "energy_nj": math.inf}}
    record.tell(trial.number, "COMPLETE", "", GOOD, points=points)
    (frozen,) = reopened(tmp_path)
    kept = {"1": {"quality": 0.2}, "2": {"quality": 0.7, "energy_nj": 300.0}}  # NaN and infinity are no JSON
    assert frozen.user_attrs["outcome"]["points"] == kept
    assert frozen.values == [0.9, 3.0]
    assert [one.name for one in record.front.members] == ["0@2", "0"]
    again = StudyRecord(record.study, (ACCURACY, ENERGY))
    assert again.front.members == record.front.members
    assert [point.name for point in again.earlier[0].points] == ["0@1", "0@2"]
    assert len(again.front.curve) == 1


@pytest.mark.parametrize("state", ["PRUNED", "FAIL"])
def test_points_of_a_trial_that_is_not_complete_are_left_out(record: StudyRecord, state: State) -> None:
    trial = record.ask()
    record.tell(trial.number, state, "enough", GOOD, points={2: GOOD})
    assert "points" not in record.study.trials[0].user_attrs["outcome"]
    assert record.earlier[0].points == ()


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({**GOOD, "quality": math.nan}, "quality is nan"),
        ({**GOOD, "energy_nj": math.inf}, "energy_nj is inf"),
        ({**GOOD, "energy_nj": 0.0}, "energy_nj is 0"),
        ({"quality": 0.9}, "energy_nj is missing"),
        ({}, "quality is missing"),
    ],
)
def test_a_vector_that_is_no_result_fails_with_its_reason(
    record: StudyRecord, tmp_path: Path, metrics: dict[str, float], reason: str
) -> None:
    trial = record.ask()
    assert record.tell(trial.number, "COMPLETE", "", metrics) == ("FAIL", reason)
    (frozen,) = reopened(tmp_path)
    assert frozen.state is TrialState.FAIL
    assert frozen.user_attrs["outcome"]["reason"] == reason


def test_a_stopped_trial_is_told_as_pruned_or_with_its_values(tmp_path: Path) -> None:
    for name, told, values in (("pruned", TrialState.PRUNED, None), ("partial", TrialState.COMPLETE, [0.9, 3.0])):
        study = begin(SearchSettings(name=name, folder=tmp_path))
        record = StudyRecord(study, (ACCURACY, ENERGY), tell_stopped=name)  # type: ignore[arg-type]
        number = record.ask().number
        assert record.tell(number, "PRUNED", "stopped at rung 1", GOOD, 3) == ("PRUNED", "stopped at rung 1")
        assert (study.trials[0].state, study.trials[0].values) == (told, values)
        assert record.earlier[0].state == "PRUNED"
        assert record.front.members == []  # it was not evaluated at full budget
        assert record.front.hypervolume == 0


def test_a_trial_that_the_end_of_the_search_broke_off_is_never_told_its_values(tmp_path: Path) -> None:
    study = begin(settings(tmp_path))
    record = StudyRecord(study, (ACCURACY, ENERGY), tell_stopped="partial")
    record.tell(record.ask().number, "PRUNED", "time is up", GOOD, 3, again=True)
    assert study.trials[0].state is TrialState.PRUNED


def test_front_and_hypervolume_are_those_of_the_judged_trials(record: StudyRecord) -> None:
    for quality, energy in ((0.5, 10.0), (0.8, 1e3), (0.4, 20.0), (0.8, 1e4)):
        record.tell(record.ask().number, "COMPLETE", "", {"quality": quality, "energy_nj": energy})
    record.tell(record.ask().number, "FAIL", "raised", {"quality": 1.0, "energy_nj": 1.0})
    assert [trial.number for trial in record.front.members] == [0, 1]  # the cheapest first
    # losses (1/2, 4/10) and (1/5, 6/10): 1/2 * 6/10 + 3/10 * 4/10
    assert record.front.hypervolume == pytest.approx(0.42)


def test_costs_are_kept_in_the_journal(record: StudyRecord) -> None:
    space = Space(REGISTRY, "digits")
    for seconds in (1.0, 2.0, 3.0):
        trial = record.ask()
        record.chosen(trial, space.suggest(trial))
        record.tell(trial.number, "COMPLETE", "", GOOD, cost={"counted_s": 1.0, "measured_s": seconds})
    assert [cost["measured_s"] for _, cost in record.costs(2)] == [2.0, 3.0]
    assert all("coding" in flat for flat, _ in record.costs(2))


@pytest.mark.parametrize("told", ["pruned", "partial"])
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_every_sampler_proposes_after_complete_failed_and_pruned_trials(
    tmp_path: Path, sampler: str, told: TellStopped
) -> None:
    space = Space(REGISTRY, "digits")
    study = begin(settings(tmp_path, sampler=sampler))
    record = StudyRecord(study, (ACCURACY, ENERGY), tell_stopped=told)
    for number in range(14):  # TPE and GP model from the eleventh on
        trial = record.ask()
        candidate = space.suggest(trial)
        record.chosen(trial, candidate)
        state = ("COMPLETE", "FAIL", "PRUNED")[0 if number < 11 else number % 3]
        record.tell(trial.number, state, "x", {**GOOD, "energy_nj": 100.0 + number})  # type: ignore[arg-type]
    assert record.running == ()
    assert len(reopened(tmp_path)) == 14


def test_a_second_search_of_one_name_is_refused(tmp_path: Path) -> None:
    begin(settings(tmp_path))
    with pytest.raises(UsageError, match=r"a search named 'trial-run' is already in .*; choose another name="):
        begin(settings(tmp_path))


def test_latency_is_an_objective_only_when_asked_for(tmp_path: Path) -> None:
    task = REGISTRY.get("task", "digits")
    names = [objective.metric for objective in objectives_of(task, settings(tmp_path))]
    assert names == ["quality", "energy_nj"]
    assert objectives_of(task, settings(tmp_path, objective="latency"))[2] is LATENCY


def test_unknown_sampler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown sampler 'tpee'. Did you mean 'tpe'"):
        make_sampler(settings(tmp_path, sampler="tpee"), REGISTRY)


def test_limits_are_constraints_by_how_far_they_are_overstepped() -> None:
    limits = Limits(max_energy_nj=100.0, max_latency_steps=8.0, max_parameters=1e4, min_quality=0.8)
    metrics = {**GOOD, "latency_steps": 8.0, "parameters": 100.0}
    assert limits.violations(metrics) == pytest.approx(
        {"energy_nj": 1.0, "latency_steps": 0.0, "parameters": -2.0, "quality": -0.1}
    )
    assert Limits().violations(metrics) == {}
    assert Limits(min_quality=0.8).violations(metrics, maximize=False) == pytest.approx({"quality": 0.1})  # an error


def test_limits_steer_the_sampler(tmp_path: Path) -> None:
    """Candidates cost 10^steps nJ; few of a random start keep to 10 uJ, most of the later ones do."""
    space = Space(REGISTRY, "digits", [parse_set("coding=direct")])
    limits = Limits(max_energy_nj=1e2)
    record = StudyRecord(begin(settings(tmp_path)), (ACCURACY, ENERGY), limits)
    kept = []
    for number in range(60):
        trial = record.ask()
        candidate = space.suggest(trial)
        energy = 10.0**candidate.steps
        record.tell(number, "COMPLETE", "", {"quality": candidate.steps / 10, "energy_nj": energy})
        kept.append(energy <= 1e2)
    assert sum(kept[-30:]) >= 20
    assert sum(kept[:10]) <= 5
    feasible = [trial.number for trial in reopened(tmp_path) if max(trial.constraints.values()) <= 0]
    assert feasible == [number for number, is_kept in enumerate(kept) if is_kept]
