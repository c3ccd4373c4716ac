"""``kill -9`` of Ray's own processes in the middle of a search: one line says what was lost and how to go on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.chaos.conftest import Search

TRIALS = 8
QUICK = ["backbone=mlp", "training.subset=256", "coding=latency,rate", "training.epochs=4"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows processes as files")
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
@pytest.mark.parametrize("trials", [0, 2])
def test_the_loss_of_a_process_of_ray_is_one_line_and_how_to_go_on(name: str, trials: int, search: Search) -> None:
    asked = f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1 --no-early-stopping".split()
    driver = search.start(*asked, *(part for text in QUICK for part in ("--set", text)))
    search.wait_until(search.has_begun, driver)
    search.wait_until(lambda: search.ended() >= trials, driver)
    all_of_it = search.processes(driver)
    (process,) = (process for process in all_of_it if process.name == name)
    killed = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    out = search.wait(driver, code=1)
    assert time.monotonic() - killed < 40, "on a machine with nothing else to do 12"
    search.check_gone(all_of_it)

    lines = out.splitlines()
    assert lines[0].startswith(f"s: broken off: Ray's {name} is gone")
    assert lines[-1] == "go on: spikefront run --resume s"
    assert "Traceback" not in search.err.read_text()
    search.wait(search.start("--resume", "s"))
    search.check_all(TRIALS)
