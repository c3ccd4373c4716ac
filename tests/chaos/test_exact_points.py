"""``kill -9`` of the driver before and after each kind of write, in builds, in the wind-up and in a resume.

One search is killed at one point after another, and resumed each time. ``make chaos`` takes all points, other runs of
the slow tests a few of them.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.chaos.conftest import LONGEST_WAIT_S
from tests.chaos.test_driver_kills import KILLS, finished

if TYPE_CHECKING:
    from tests.chaos.conftest import Process, Search

SCRIPT = Path(__file__).with_name("killed_at.py")
SHUFFLED = "SPIKEFRONT_CHAOS" in os.environ
TRIALS = 80 if KILLS >= 20 else 20
QUICK = ["backbone=mlp", "training.subset=128", "coding=rate,kills-driver", "training.epochs=2"]

JOURNAL = "spikefront.runners.engine.memory.journal:_Backend.append_logs"
CLIENT = "mlflow:MlflowClient."
SEARCH = "spikefront.runners.engine.search:"

Point = tuple[str, str, int]

IN_TRIALS: list[Point] = [
    *((when, JOURNAL, nth) for when in ("before", "within", "after") for nth in (1, 2, 3, 5, 8, 13)),
    *(
        (when, CLIENT + name, nth)
        for when in ("before", "after")
        for name, nth in [("create_run", 1), ("log_batch", 1), ("log_batch", 4), ("set_terminated", 1)]
    ),
    ("after", "spikefront.runners.engine.placing.bridge:StudySearcher.suggest", 2),
    ("before", "spikefront.runners.engine.placing.bridge:StudySearcher.on_trial_complete", 1),
    ("after", "spikefront.runners.engine.memory.study:StudyRecord.tell", 2),
]
"""Points that a driver comes to while trials run; the first calls of a resumed one are those of the resume."""

IN_RESUME: list[Point] = [
    ("before", "spikefront.runners.engine.memory.study:StudyRecord.take_up", 1),
    ("after", "spikefront.runners.engine.memory.study:StudyRecord.take_up", 1),
    ("after", "spikefront.runners.engine.placing.session:RaySession.wait", 1),
    ("after", "spikefront.results.store.runs:Runs.adopt", 1),
    ("before", CLIENT + "update_run", 1),
    ("after", CLIENT + "update_run", 1),
]
IN_WIND_UP: list[Point] = [
    *(
        (when, place, nth)
        for when in ("before", "after")
        for place, nth in [
            (SEARCH + "keep_weights_of", 1),
            (SEARCH + "_tidy_checkpoints", 1),
            (CLIENT + "set_tag", 1),
            (CLIENT + "log_text", 1),
            (CLIENT + "log_text", 3),
            (CLIENT + "log_artifact", 1),
            (CLIENT + "log_artifact", 2),
            ("spikefront.results.store.recorder:_Ledger._repair", 1),
            ("spikefront.results.store.recorder:_Ledger._end_search", 1),
            (CLIENT + "set_terminated", 1),
            ("spikefront.results.report:keep_report", 1),
        ]
    ),
]
"""Points that also a driver comes to that resumes a search without trials left."""

FIRST: list[Point] = [("within", JOURNAL, 1), ("after", JOURNAL, 1), ("before", JOURNAL, 3)]
BEGUN: Point = ("after", "spikefront.runners.engine.placing.bridge:StudySearcher.suggest", 2)
IN_WORKER = ["setup", "_build", "_timed_epoch"]


def chosen(points: list[Point], some: int) -> list[Point]:
    """Return points in a random order: all of them, or some."""
    chance = random.Random(int.from_bytes(os.urandom(4)) if SHUFFLED else KILLS)
    return chance.sample(points, len(points) if KILLS >= 20 else min(some, len(points)))


class Killed:
    """A search that is killed at exact points."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.known = finished(search)
        narrowed = (part for text in QUICK for part in ("--set", text))
        begin = f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1 --plugins-dir mine".split()
        self.arguments = [*begin, *narrowed]

    def at(self, point: Point) -> None:
        when, place, nth = point
        self._wait(self.search.start(*self.arguments, script=(str(SCRIPT), when, place, str(nth))), point)

    def in_worker(self, method: str) -> None:
        driver = self.search.start(*self.arguments)
        order = self.search.folder / "mine" / f"{method}.order"
        order.with_suffix(".part").write_text(str(driver.pid))
        order.with_suffix(".part").rename(order)
        self._wait(driver, method)

    def _wait(self, driver: subprocess.Popen[str], point: object) -> None:
        """Wait for a driver that is to be killed, and check what it left."""
        processes: set[Process] = set()
        deadline = time.monotonic() + LONGEST_WAIT_S
        while driver.poll() is None:
            processes |= self.search.processes(driver)
            assert time.monotonic() < deadline, (point, self.search.err.read_text()[-2000:])
            time.sleep(0.2)
        assert driver.returncode == -signal.SIGKILL, (point, self.search.err.read_text()[-2000:])
        self.search.check_gone(processes)
        now = finished(self.search)
        assert self.known.items() <= now.items(), point
        self.known = now
        if self.search.has_begun():
            self.arguments = ["--resume", "s"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows processes as files")
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_search_that_is_killed_at_any_point_is_whole_after_its_resume(search: Search) -> None:
    (search.folder / "mine").mkdir()
    shutil.copy(Path(__file__).with_name("kills_driver.py"), search.folder / "mine")
    killed = Killed(search)
    for point in [*chosen(FIRST, 1), BEGUN]:
        killed.at(point)
    assert killed.arguments == ["--resume", "s"]
    for method in IN_WORKER:
        killed.in_worker(method)
    for point in [*chosen([*IN_TRIALS, *IN_RESUME], 3), *chosen(IN_WIND_UP, 2)]:
        killed.at(point)

    search.wait(search.start(*killed.arguments))
    assert killed.known.items() <= finished(search).items()
    search.check_journal(TRIALS)
    uri = f"sqlite:///{search.folder}/mlflow.db"
    search.check_mlflow(uri)
    search.check_nothing_is_left_over()
    client = MlflowClient(uri)
    (parent,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    kept = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"front.json", "report.html", "journal.log", "environment.json"} <= kept
    assert parent.data.tags["search.ended"] == "all trials done"
