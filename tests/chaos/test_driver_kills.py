"""``kill -9`` of the driver at random moments, resumed each time: nothing is lost, nothing is there twice.

``make chaos`` kills 20 times, the quick tests twice.
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

KILLS = int(os.environ.get("SPIKEFRONT_KILLS", "2"))
TRIALS = 4 + 2 * KILLS if KILLS < 20 else 40
START_S = 60.0
"""Longest wait for a driver to get to work."""

QUICK = ["backbone=mlp", "training.subset=256", "coding=latency,rate,direct,css", "training.epochs=4"]

Ended = dict[int, tuple[TrialState, list[float] | None]]


def begin() -> list[str]:
    narrowed = [part for text in QUICK for part in ("--set", text)]
    return ["--task", "digits", "--name", "s", "--trials", str(TRIALS), "--workers", "2", "--seed", "1", *narrowed]


def finished(search: Search) -> Ended:
    """Trials that had ended for good, and what they were told with."""
    done = (trial for trial in search.trials() if trial.state.is_finished())
    return {trial.number: (trial.state, trial.values) for trial in done if not trial.user_attrs["outcome"]["again"]}


def kill_at_a_random_moment(driver: subprocess.Popen[str], search: Search, chance: random.Random) -> None:
    """Kill a driver between its first steps and its end; the moment counts from its first trial."""
    before = len(finished(search))
    deadline = time.monotonic() + START_S
    wanted = before + chance.randint(0, 3)  # 0: while it starts
    while driver.poll() is None and time.monotonic() < deadline and wanted > before:
        if len(finished(search)) >= wanted:
            break
        time.sleep(0.2)
    time.sleep(chance.uniform(0, 4 if wanted == before else 0.8))
    driver.kill()
    driver.communicate()


@pytest.mark.timeout(240 + 60 * KILLS)
def test_nothing_is_lost_and_nothing_is_there_twice(search: Search) -> None:
    chance = random.Random(KILLS)
    arguments, known = begin(), Ended()
    for _ in range(KILLS):
        kill_at_a_random_moment(search.start(*arguments), search, chance)
        now = finished(search)
        assert known.items() <= now.items()  # what had ended is as it was
        known = now
        if search.has_begun():
            arguments = ["--resume", "s"]
    search.wait(search.start(*arguments))
    assert known.items() <= finished(search).items()
    search.check_journal(TRIALS)
    search.check_mlflow(f"sqlite:///{search.folder}/mlflow.db")
    search.check_nothing_is_left_over()
