"""SIGTERM at random moments, resumed each time: the search is wound up, says how to go on, and exits with 143.

``make chaos`` sends it 20 times, the slow tests twice.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.chaos.conftest import LONGEST_WAIT_S
from tests.chaos.test_driver_kills import KILLS, finished

if TYPE_CHECKING:
    from tests.chaos.conftest import Process, Search

LONG = "SPIKEFRONT_CHAOS" in os.environ
TRIALS = 4 * KILLS
ENDS_S = 20.0 if LONG else 60.0
"""Longest that a driver may take to end; batch systems wait 30 s. Beside other tests it says nothing."""
HANDLED_S = 2.0
"""Until then a new process may not handle signals yet."""
QUICK = ["backbone=mlp", "training.subset=256", "coding=latency,rate,direct,css", "training.epochs=4"]


def end(driver: subprocess.Popen[str], search: Search, moment_s: float) -> set[Process]:
    """Send SIGTERM to a driver after so many seconds, and wait for its end; return the processes that it had."""
    started = time.monotonic()
    while driver.poll() is None and time.monotonic() < started + moment_s:
        time.sleep(0.05)
    processes = search.processes(driver)
    driver.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    while driver.poll() is None:
        processes |= search.processes(driver)
        assert time.monotonic() < sent + LONGEST_WAIT_S
        time.sleep(0.1)
    assert time.monotonic() < sent + ENDS_S, search.err.read_text()
    return processes


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows processes as files")
@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * KILLS)
def test_a_search_ended_by_sigterm_at_any_moment_says_how_to_go_on(search: Search) -> None:
    chance = random.Random(int.from_bytes(os.urandom(4)) if LONG else KILLS)
    narrowed = (part for text in QUICK for part in ("--set", text))
    arguments = [*f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1".split(), *narrowed]
    known = finished(search)
    for _ in range(KILLS):
        moment_s = chance.uniform(0.0, 20.0)
        driver = search.start(*arguments)
        search.check_gone(end(driver, search, moment_s))
        out, _ = driver.communicate()
        said = (moment_s, driver.returncode, out, search.err.read_text()[-1000:])
        resumable = arguments[0] == "--resume" or search.has_begun()
        if driver.returncode == 143 and resumable:
            assert out.splitlines()[-1:] == ["go on: spikefront run --resume s"], said
        elif driver.returncode == 143:
            assert search.err.read_text().splitlines()[-1] == "spikefront: interrupted by SIGTERM", said
        elif driver.returncode == 0:
            assert out.startswith("s: all trials done"), said
        else:
            assert (driver.returncode, moment_s < HANDLED_S) == (-signal.SIGTERM, True), said
        assert "Traceback" not in search.err.read_text(), said
        now = finished(search)
        assert known.items() <= now.items()
        known = now
        if search.has_begun():
            arguments = ["--resume", "s"]
    search.wait(search.start(*arguments))
    assert known.items() <= finished(search).items()
    search.check_all(TRIALS)
