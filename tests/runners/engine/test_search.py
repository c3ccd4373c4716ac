"""Real searches on real Ray: results reach the journal and the listener, and no failing trial ends a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from spikefront.plugins import load_registry
from spikefront.runners.engine.placing.data import share
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.search import SearchOutcome, SearchRun
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import Callbacks, Candidate, SearchInfo, State, UsageError

FAILING_PLUGINS = """
import os
import torch
from spikefront.plugins import Coding, Kind, Operations, Signal, hookimpl

class Raises(Coding):
    name = "raises"
    def encode(self, x):
        raise RuntimeError("no spikes today")

class NotANumber(Coding):
    name = "not-a-number"
    def decode(self, output):
        return super().decode(output) * float("nan")

class Liar(Coding):
    name = "liar"
    def encode(self, x):
        return Signal(x.unsqueeze(0) / 2, self.steps, Kind.BINARY)

class Endless(Coding):
    name = "endless"
    def decode_operations(self, output):
        return Operations(adds=float("inf"))

class Dies(Coding):
    name = "dies"
    def encode(self, x):
        os._exit(1)

@hookimpl
def register_codings(register):
    for coding in (Raises, NotANumber, Liar, Endless, Dies):
        register(coding)
"""
REASONS = {
    "raises": "RuntimeError: no spikes today",
    "not-a-number": "loss is nan at epoch 1",
    "liar": "EdgeKindError: the edge into backbone.layers.1 is declared binary but carries ",
    "endless": "energy_nj is inf at epoch 1",
    "dies": "lost its worker",
}


class Diary(Callbacks):
    """Writes down each event."""

    def __init__(self) -> None:
        self.info: SearchInfo | None = None
        self.candidates: dict[int, Candidate] = {}
        self.epochs: dict[int, list[int]] = {}
        self.ends: dict[int, tuple[str, str, dict[str, float], Path | None]] = {}
        self.reason = ""

    def search_started(self, search: SearchInfo) -> None:
        self.info = search

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self.candidates[number] = candidate

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self.epochs.setdefault(number, []).append(epoch)

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        assert number not in self.ends, "a trial ends once"
        self.ends[number] = (state, reason, dict(metrics), weights)

    def search_ended(self, reason: str) -> None:
        self.reason = reason


def search(
    tmp_path: Path, *narrow: str, epochs: int = 2, plugins_dir: tuple[Path, ...] = (), **more: object
) -> tuple[SearchOutcome, Diary, list[optuna.trial.FrozenTrial]]:
    quick = ("backbone=mlp", f"training.epochs={epochs}", "training.subset=128")
    options: dict[str, Any] = {"workers": 2, "plugins_dir": plugins_dir, "early_stopping": False, **more}
    settings = SearchSettings("digits", name="s", folder=tmp_path, space=(*quick, *narrow), **options)
    plan = SearchPlan(settings, load_registry(settings.plugin_folders, third_parties=False))
    diary = Diary()
    with RaySession(settings) as session:
        data = plan.read_data()
        session.wait()
        outcome = SearchRun(plan).execute(share(data, type(plan.task)), diary)
    storage = JournalStorage(JournalFileBackend(str(settings.journal)))
    return outcome, diary, optuna.load_study(study_name="s", storage=storage).get_trials()


def test_every_trial_is_judged_told_once_and_kept(tmp_path: Path) -> None:
    outcome, diary, trials = search(tmp_path, trials=6)
    assert outcome.states == {"COMPLETE": 6}
    assert diary.reason == outcome.reason == "all trials done"
    assert sorted(diary.ends) == list(range(6))
    for number, epochs in diary.epochs.items():
        converted = "ann_quality" in diary.ends[number][2]  # its ANN is trained in one go
        assert epochs == ([2] if converted else [1, 2])
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    for trial in trials:
        _, _, metrics, weights = diary.ends[trial.number]
        assert trial.values == [
            metrics["quality"],
            pytest.approx(torch.log10(torch.tensor(metrics["energy_nj"])).item()),
        ]
        assert trial.user_attrs["candidate"] == diary.candidates[trial.number].flat()
        assert weights is not None
    # weights are kept of the front alone
    front = {f"trial-{trial.number:05d}" for trial in _front(trials)}
    kept = {f"{name}.{kind}" for name in front for kind in ("pt", "layers.json")}
    assert {path.name for path in (tmp_path / "s" / "weights").iterdir()} == kept
    state = torch.load(tmp_path / "s" / "weights" / f"{min(front)}.pt", weights_only=True)
    assert "backbone.layers.1.weight.weight" in state


@pytest.mark.slow
def test_conversions_on_one_node_share_one_training(tmp_path: Path) -> None:
    fixed = ("backbone.mlp.width=32", "backbone.mlp.depth=2", "training.optimizer.adam.lr=0.002")
    outcome, diary, _ = search(tmp_path, "coding=css,rate-conversion,phase-conversion", *fixed, trials=8)
    assert outcome.states == {"COMPLETE": 8}
    assert sum(metrics["ann_trained"] for _, _, metrics, _ in diary.ends.values()) == 1
    assert len({metrics["ann_quality"] for _, _, metrics, _ in diary.ends.values()}) == 1
    assert len({candidate.steps for candidate in diary.candidates.values()}) > 1
    assert len(list((tmp_path / "s" / "anns").glob("*.pt"))) == 1


def test_trials_that_fall_behind_are_stopped_and_told_as_pruned(tmp_path: Path) -> None:
    narrowed = ("coding=direct", "neuron=lif")
    outcome, diary, trials = search(tmp_path, *narrowed, epochs=7, trials=10, early_stopping=True)
    assert sum(outcome.states.values()) == 10
    stopped = {number: reason for number, (state, reason, _, _) in diary.ends.items() if state == "PRUNED"}
    assert stopped
    assert all(reason.startswith("stopped at ") for reason in stopped.values())
    for number in stopped:
        assert diary.epochs[number] == list(range(1, len(diary.epochs[number]) + 1))
        assert len(diary.epochs[number]) < 7
        assert trials[number].state is TrialState.PRUNED
    at_rungs = [record for trial in trials for record in trial.user_attrs.get("rungs", [])]
    assert {record["number"] for record in at_rungs} <= set(range(10))
    assert len(at_rungs) >= 10 - len(stopped)
    assert list((tmp_path / "s" / "checkpoints").glob("*")) == []


def _front(trials: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    def beaten(a: list[float], b: list[float]) -> bool:
        return b[0] >= a[0] and b[1] <= a[1] and b != a

    return [one for one in trials if not any(beaten(one.values, other.values) for other in trials)]


def test_failing_trials_say_why_and_the_search_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "failing.py").write_text(FAILING_PLUGINS)
    codings = "coding=direct," + ",".join(REASONS)
    outcome, diary, trials = search(tmp_path, codings, plugins_dir=(folder,), trials=14, sampler="random", seed=3)
    assert sum(outcome.states.values()) == 14
    assert {candidate.coding.name for candidate in diary.candidates.values()} == {"direct", *REASONS}
    for number, (state, reason, _, _) in diary.ends.items():
        coding = diary.candidates[number].coding.name
        assert state == ("COMPLETE" if coding == "direct" else "FAIL"), (coding, reason)
        assert reason.startswith(REASONS.get(coding, "")), (coding, reason)
        assert trials[number].user_attrs["outcome"]["reason"] == reason
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.FAIL}
    assert capsys.readouterr().out == ""  # stdout is for results, whatever Ray has to say about dead workers


def test_time_ends_a_search_and_nothing_stays_running(tmp_path: Path) -> None:
    outcome, diary, trials = search(tmp_path, epochs=4000, trials=None, time=15.0)
    assert outcome.reason == diary.reason == "time is up"
    assert trials
    assert not any(trial.state is TrialState.RUNNING for trial in trials)
    assert sorted(diary.ends) == [trial.number for trial in trials]
    stopped = [reason for state, reason, _, _ in diary.ends.values() if state == "PRUNED"]
    assert stopped
    assert all(reason.startswith("time is up at epoch ") and reason.endswith(" of 4000") for reason in stopped)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "127.0.0.1:1",
            r"address='127\.0\.0\.1:1': no Ray cluster answers \(Connection refused\); start one with: ray start",
        ),
        ("somewhere", r"address='somewhere' must read HOST:PORT"),
    ],
)
def test_a_cluster_that_does_not_answer_is_one_clear_error(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        search(tmp_path, trials=1, address=address)
    assert not (tmp_path / "s").exists()


def test_more_gpus_than_there_are_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    settings = SearchSettings(name="s", folder=tmp_path, gpus_per_trial=torch.cuda.device_count() + 1)
    with (
        RaySession(settings) as session,
        pytest.raises(UsageError, match=r"gpus_per_trial=\d\.0 is more than the \d GPUs"),
    ):
        session.wait()


def test_a_search_ends_when_its_front_is_good_enough(tmp_path: Path) -> None:
    outcome, _, trials = search(tmp_path, "coding=direct", "steps=4", trials=50, target_hypervolume=0.05)
    assert outcome.finished
    assert outcome.reason.startswith("hypervolume 0.")
    assert outcome.reason.endswith("is reached")
    assert 1 <= outcome.states["COMPLETE"] < 10
    assert not any(trial.state is TrialState.RUNNING for trial in trials)
