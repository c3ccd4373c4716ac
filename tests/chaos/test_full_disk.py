"""A full disk under the journal, and a lost server: the search breaks off, and can be resumed."""

from __future__ import annotations

import os
import resource
import subprocess
from typing import TYPE_CHECKING

import pytest
from optuna.trial import TrialState

if TYPE_CHECKING:
    from tests.chaos.conftest import Search
    from tests.conftest import MlflowServer

LONG = "SPIKEFRONT_CHAOS" in os.environ
TRIALS = 8
QUICK = ["backbone=mlp", "training.subset=128", "coding=latency,rate,css", "training.epochs=3"]


def fill_up(search: Search, driver: subprocess.Popen[str]) -> None:
    """Limit the size of the driver's files to a little more than the journal, as on a disk that is almost full.

    Unlike a full disk it does not affect Ray's processes, the workers and the server.
    """
    nearly = search.path.stat().st_size + 300  # less than one trial writes
    _, hard = resource.prlimit(driver.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(driver.pid, resource.RLIMIT_FSIZE, (nearly, hard))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit the files of another process")
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_full_disk_breaks_a_search_off_cleanly_and_it_can_be_resumed(search: Search, server: MlflowServer) -> None:
    asked = f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1 --no-early-stopping".split()
    driver = search.start(*asked, *(part for text in QUICK for part in ("--set", text)), "--tracking-uri", server.uri)
    search.wait_until(lambda: search.ended() >= 2, driver)
    fill_up(search, driver)
    if LONG:
        server.kill()
    out = search.wait(driver, code=1)

    before = {trial.number: trial.values for trial in search.trials() if trial.state is TrialState.COMPLETE}
    lines = out.splitlines()
    broken = "s: broken off: searches/s/journal.log can't be written: File too large"
    assert lines[0].startswith(f"{broken}; {len(before)} judged")
    assert lines[-1] == "go on: spikefront run --resume s"
    assert "Traceback" not in search.err.read_text()
    assert search.path.read_bytes().endswith(b"}\n"), "no record was left half-written"
    unwritten = [line for line in search.err.read_text().splitlines() if "not written to MLflow" in line]
    # the limit also holds for the report, before MLflow sends it
    assert all(line.endswith("The journal in searches/s has it all.") for line in unwritten)
    if LONG:
        assert unwritten
        server.start()

    search.wait(search.start("--resume", "s"))
    search.check_journal(TRIALS)
    assert before.items() <= {trial.number: trial.values for trial in search.trials()}.items()
    search.check_mlflow(server.uri)
    search.check_nothing_is_left_over()
