"""Real searches on real Ray: results reach the journal and the callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

Search = Callable[..., Any]


def test_every_trial_is_judged_told_once_and_kept(tmp_path: Path, search: Search) -> None:
    outcome, diary, trials = search(trials=6)
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
    members = _members(trials)
    front = {f"trial-{number:05d}" for number, _ in members}
    kept = {f"{name}.{kind}" for name in front for kind in ("pt", "layers.json", "activity.json")}
    kept |= {f"trial-{number:05d}@{cut}.layers.json" for number, cut in members if cut}
    assert {path.name for path in (tmp_path / "s" / "weights").iterdir()} == kept
    counts = {path.name for path in (tmp_path / "s" / "counts").iterdir()}
    assert counts >= {f"trial-{number:05d}.json" for number in range(6)}  # of all, for fronts under other models
    assert counts >= {f"trial-{number:05d}@{cut}.json" for number, cut in members if cut}
    state = torch.load(tmp_path / "s" / "weights" / f"{min(front)}.pt", weights_only=True)
    assert "backbone.layers.1.weight.weight" in state


@pytest.mark.slow
def test_conversions_on_one_node_share_one_training(tmp_path: Path, search: Search) -> None:
    fixed = ("backbone.mlp.width=32", "backbone.mlp.depth=2", "training.optimizer.adam.lr=0.002")
    outcome, diary, _ = search("coding=css,rate-conversion,phase-conversion", *fixed, trials=8)
    assert outcome.states == {"COMPLETE": 8}
    assert sum(metrics["ann_trained"] for _, _, metrics, _ in diary.ends.values()) == 1
    assert len({metrics["ann_quality"] for _, _, metrics, _ in diary.ends.values()}) == 1
    assert len({candidate.steps for candidate in diary.candidates.values()}) > 1
    assert len(list((tmp_path / "s" / "anns").glob("*.pt"))) == 1


def test_trials_that_fall_behind_are_stopped_and_told_as_pruned(tmp_path: Path, search: Search) -> None:
    narrowed = ("coding=direct", "neuron=lif")
    outcome, diary, trials = search(*narrowed, epochs=7, trials=10, early_stopping=True)
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


def _members(trials: list[optuna.trial.FrozenTrial]) -> set[tuple[int, int]]:
    """Return the front, points included: numbers of trials, and steps at which they are cut or 0."""
    values = {(trial.number, 0): trial.values for trial in trials}
    for trial in trials:
        for cut, metrics in trial.user_attrs["outcome"].get("points", {}).items():
            values[trial.number, int(cut)] = [metrics["quality"], math.log10(metrics["energy_nj"])]

    def beaten(a: list[float], b: list[float]) -> bool:
        return b[0] >= a[0] and b[1] <= a[1] and b != a

    return {place for place, one in values.items() if not any(beaten(one, other) for other in values.values())}


@pytest.mark.slow
def test_time_ends_a_search_and_nothing_stays_running(tmp_path: Path, search: Search) -> None:
    outcome, diary, trials = search(epochs=4000, trials=None, time=8.0)
    assert outcome.reason == diary.reason == "time is up"
    assert trials
    assert not any(trial.state is TrialState.RUNNING for trial in trials)
    assert sorted(diary.ends) == [trial.number for trial in trials]
    stopped = [reason for state, reason, _, _ in diary.ends.values() if state == "PRUNED"]
    assert stopped
    assert all(reason.startswith("time is up at epoch ") and reason.endswith(" of 4000") for reason in stopped)


def test_a_search_ends_when_its_front_is_good_enough(tmp_path: Path, search: Search) -> None:
    outcome, _, trials = search("coding=direct", "steps=4", trials=50, target_hypervolume=0.05)
    assert outcome.finished
    assert outcome.reason.startswith("hypervolume 0.")
    assert outcome.reason.endswith("is reached")
    assert 1 <= outcome.states["COMPLETE"] < 10
    assert not any(trial.state is TrialState.RUNNING for trial in trials)
