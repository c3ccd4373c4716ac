"""Failing trials of a real search: each is recorded with its reason, and the search goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from tests.runners.engine.conftest import Diary

from spikefront.searchspace import State

Search = Callable[..., Any]

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

class Remembers(Coding):
    name = "remembers"
    calls = 0
    def encode(self, x):
        self.calls += 1
        return super().encode(x / self.calls)

class Dies(Coding):
    name = "dies"
    def encode(self, x):
        os._exit(1)

@hookimpl
def register_codings(register):
    for coding in (Raises, NotANumber, Liar, Endless, Remembers, Dies):
        register(coding)
"""
REASONS = {
    "raises": "RuntimeError: no spikes today (failing.py:9)",
    "not-a-number": "loss is nan at epoch 1",
    "liar": "EdgeKindError: the edge into backbone.layers.1 is declared binary but carries ",
    "endless": "energy_nj is inf at epoch 1",
    "remembers": "ContractError: coding 'remembers' keeps state between calls",
    "dies": "lost its worker",
}


def test_failing_trials_say_why_and_the_search_goes_on(
    tmp_path: Path, search_alone: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "failing.py").write_text(FAILING_PLUGINS)
    codings = "coding=direct," + ",".join(REASONS)
    outcome, diary, trials = search_alone(codings, plugins_dir=(folder,), trials=16, sampler="random", seed=3)
    assert sum(outcome.states.values()) == 16
    assert {candidate.coding.name for candidate in diary.candidates.values()} == {"direct", *REASONS}
    for number, (state, reason, _, _) in diary.ends.items():
        coding = diary.candidates[number].coding.name
        assert state == ("COMPLETE" if coding == "direct" else "FAIL"), (coding, reason)
        assert reason.startswith(REASONS.get(coding, "")), (coding, reason)
        assert trials[number].user_attrs["outcome"]["reason"] == reason
        assert trials[number].user_attrs["outcome"].get("traceback", "") == diary.tracebacks.get(number, "")
        if coding == "raises":
            lines = diary.tracebacks[number].splitlines()
            assert f'File "{folder / "failing.py"}", line 9, in encode' in diary.tracebacks[number]
            assert (lines[0], lines[-1]) == ("Traceback (most recent call last):", "RuntimeError: no spikes today")
        assert bool(diary.tracebacks.get(number)) == (coding in ("raises", "liar", "remembers", "dies")), coding
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.FAIL}
    assert capsys.readouterr().out == ""  # stdout is for results, whatever Ray has to say about dead workers


LOST_PLUGINS = """
import os
from pathlib import Path
from spikefront.plugins import Coding, hookimpl

class Lost(Coding):
    name = "lost"
    def encode(self, x):
        Path(__file__).with_name("pid").write_text(str(os.getpid()))
        trials = Path(__file__).with_name("third")
        if trials.exists():
            trials.unlink()
            os._exit(1)
        return super().encode(x)

@hookimpl
def register_codings(register):
    register(Lost)
"""


class Killer(Diary):
    """Kills the idle worker after the first trial, and lets the third end its worker while it is built."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        super().trial_ended(number, state, reason, metrics, weights)
        if len(self.ends) == 1:
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        if len(self.ends) == 2:
            (self.folder / "third").touch()


@pytest.mark.slow
def test_a_trial_whose_worker_is_lost_before_its_first_epoch_is_evaluated(tmp_path: Path, search_alone: Search) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "losing.py").write_text(LOST_PLUGINS)
    outcome, diary, _ = search_alone(
        "coding=lost", plugins_dir=(folder,), trials=4, workers=1, sampler="random", diary=Killer(folder)
    )
    assert [(state, reason) for state, reason, _, _ in diary.ends.values()] == [("COMPLETE", "")] * 4
    assert outcome.states == {"COMPLETE": 4}
    assert not (folder / "third").exists()
