"""A search by trials gives the same front again: beside other work, and killed and resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.conftest import Search

from spikefront.runners.engine.memory.order import Order
from spikefront.searchspace.objectives import OF_THE_MACHINE

TRIALS = 8
NARROWED = ["backbone=mlp", "training.subset=256", "coding=latency,rate,direct,rate-conversion", "training.epochs=4"]


def arguments() -> list[str]:
    narrowed = [part for text in NARROWED for part in ("--set", text)]
    return ["--task", "digits", "--name", "s", "--trials", str(TRIALS), "--workers", "2", *narrowed]


def trainings(search: Search) -> list[tuple[Any, ...]]:
    """Return candidate and end of each training, but for times."""
    trials, order = search.trials(), Order()
    order.read(trials)
    found = []
    for ordinal in range(len(order)):
        known = trials[order[ordinal].number].user_attrs
        outcome = known["outcome"]
        metrics = {name: value for name, value in outcome["metrics"].items() if name not in OF_THE_MACHINE}
        found.append((known["candidate"], outcome["state"], outcome["reason"], outcome["epoch"], metrics))
    return found


def run(search: Search, *arguments: str) -> None:
    """Run a driver to its end, which takes longer beside busy processes."""
    driver = search.start(*arguments)
    out, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, search.err.read_text() + out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_beside_other_work_and_after_a_kill(tmp_path: Path, search: Search) -> None:
    run(search, *arguments())
    first = trainings(search)
    assert len(first) == TRIALS
    (tmp_path / "other").mkdir()
    other = Search(tmp_path / "other")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        driver = other.start(*arguments())
        other.wait_until(lambda: other.ended() >= 4, driver)
        driver.kill()
        driver.communicate()
        run(other, "--resume", "s")
    finally:
        for process in busy:
            process.kill()
            process.wait()
        other.kill()
    assert len(other.trials()) > TRIALS  # some were evaluated again
    assert trainings(other) == first
