"""``kill -9`` of the driver at random moments, resumed each time: no trial is lost or recorded twice.

``make chaos`` kills 20 times, the quick tests once.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from optuna.trial import TrialState

if TYPE_CHECKING:
    from tests.chaos.conftest import Search

KILLS = int(os.environ.get("SPIKEFRONT_KILLS", "1"))
TRIALS = 4 + 2 * KILLS if KILLS < 20 else 40
START_S = 60.0
"""Longest wait for the first trial of a driver."""

QUICK = ["backbone=mlp", "training.subset=256", "coding=latency,rate,direct,css", "training.epochs=4"]

Ended = dict[int, tuple[TrialState, list[float] | None]]


def begin() -> list[str]:
    narrowed = [part for text in QUICK for part in ("--set", text)]
    return ["--task", "digits", "--name", "s", "--trials", str(TRIALS), "--workers", "2", "--seed", "1", *narrowed]


def finished(search: Search) -> Ended:
    """Return the trials that have a final outcome, with their states and values."""
    done = (trial for trial in search.trials() if trial.state.is_finished())
    return {trial.number: (trial.state, trial.values) for trial in done if not trial.user_attrs["outcome"]["again"]}


def kill_at_a_random_moment(driver: subprocess.Popen[str], search: Search, chance: random.Random) -> None:
    """Kill a driver between its first steps and its end; the moment counts from its first trial."""
    before = len(finished(search))
    deadline = time.monotonic() + START_S
    target = before + chance.randint(0, 3)  # 0: while it starts
    while driver.poll() is None and time.monotonic() < deadline and target > before:
        if len(finished(search)) >= target:
            break
        time.sleep(0.2)
    time.sleep(chance.uniform(0, 4 if target == before else 0.8))
    driver.kill()
    driver.communicate()


@pytest.mark.timeout(240 + 60 * KILLS)
def test_no_trial_is_lost_or_recorded_twice(search: Search) -> None:
    chance = random.Random(KILLS)
    arguments, known = begin(), Ended()
    for _ in range(KILLS):
        kill_at_a_random_moment(search.start(*arguments), search, chance)
        now = finished(search)
        assert known.items() <= now.items()  # ended trials do not change
        known = now
        if search.has_begun():
            arguments = ["--resume", "s"]
    search.wait(search.start(*arguments))
    assert known.items() <= finished(search).items()
    search.check_all(TRIALS)
