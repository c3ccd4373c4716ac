"""Workers crash and hang, and plugins give invalid numbers, while the MLflow server is down: all trials end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from optuna.trial import TrialState

from spikefront.runners.failures import LOST_WORKER

if TYPE_CHECKING:
    from tests.chaos.conftest import Search
    from tests.conftest import MlflowServer

LONG = "SPIKEFRONT_CHAOS" in os.environ
AWAY_S = 60.0 if LONG else 8.0
TIMEOUT_S = 30 if LONG else 12
TRIALS = 15  # of which two thirds are the defaults of each coding

LOST = re.escape(LOST_WORKER)
# sometimes a process that is ended this way leaves no stack; test_watchdog.py tests the place
HANG = rf"within {TIMEOUT_S} s \(--epoch-timeout\)(; it was in misbehaving.py:\d+ hang)?"
ENDS = {
    "latency": "",
    "is-killed": "",
    "exits": LOST,
    "kills-itself": LOST,
    "gives-nan": "loss is nan at epoch 1",
    "gives-infinity": "energy_nj is inf at epoch 1",
    "misses-a-metric": r"TypeError: float\(\) argument .*",
    "swells": f"ContractError: coding 'swells' returned values of {2**46} steps; .*",  # found before memory is taken
    "hangs-in-an-epoch": f"epoch 2 did not end {HANG}",
    "hangs-before-the-first": f"the candidate was not built {HANG}",
}
"""Reason with which the trials of each coding end; empty where they are evaluated."""


def kill_from_outside(pid_file: Path, search: Search, driver: subprocess.Popen[str]) -> None:
    search.wait_until(pid_file.exists, driver)
    time.sleep(0.2)
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_search_outlives_its_workers_and_its_server(search: Search, server: MlflowServer) -> None:
    plugins = search.folder / "mine"
    plugins.mkdir()
    shutil.copy(Path(__file__).with_name("misbehaving.py"), plugins)
    narrowed = (f"coding={','.join(ENDS)}", "backbone=mlp", "training.subset=128", "training.epochs=3")
    asked = f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1 --priors --no-early-stopping".split()
    asked += ["--epoch-timeout", f"{TIMEOUT_S}s", "--plugins-dir", "mine", "--tracking-uri", server.uri]
    asked += [part for text in narrowed for part in ("--set", text)]
    driver = search.start(*asked)
    killer = threading.Thread(target=kill_from_outside, args=(plugins / "victim", search, driver))
    killer.start()
    search.wait_until(lambda: search.ended() >= 3, driver)
    server.kill()
    time.sleep(AWAY_S)
    assert LONG or driver.poll() is None
    server.start()
    out = search.wait(driver)
    killer.join()

    judged = sum(trial.state is TrialState.COMPLETE for trial in search.trials())
    assert re.match(rf"s: all trials done; {judged} judged, {TRIALS - judged} failed, 0 stopped early", out)
    assert "Traceback" not in search.err.read_text()
    assert "not written" not in search.err.read_text()
    search.check_journal(TRIALS)
    search.check_mlflow(server.uri)
    search.check_nothing_is_left_over()
    reasons = defaultdict(set)
    for trial in search.trials():
        reasons[trial.user_attrs["candidate"]["coding"]].add(trial.user_attrs["outcome"]["reason"])
    assert reasons.keys() == ENDS.keys()
    for coding, found in reasons.items():
        for reason in found:
            assert re.fullmatch(ENDS[coding], reason), (coding, reason)
