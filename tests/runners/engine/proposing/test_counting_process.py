"""Counting in a process of its own: what a plugin does there is no harm to the driver."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spikefront.plugins import SearchData, load_registry
from spikefront.runners.engine.proposing import counting_process
from spikefront.runners.engine.proposing.counting_process import CountingProcess
from spikefront.runners.judging.workload import ONE_CORE, Workloads
from spikefront.searchspace import Candidate, from_flat

PLUGINS = '''
import os, sys, time
from spikefront.plugins import Coding, hookimpl

class Exits(Coding):
    """Ends the process."""
    name = "exits"
    def encode(self, x):
        print("its last words", file=sys.stderr, flush=True)
        os._exit(3)

class Hangs(Coding):
    """Never comes back."""
    name = "hangs"
    def encode(self, x):
        time.sleep(1000)

class Prints(Coding):
    """Talks."""
    name = "prints"
    def encode(self, x):
        print("1234.5", flush=True)
        return super().encode(x)

class Raises(Coding):
    """Raises."""
    name = "raises"
    def encode(self, x):
        raise RuntimeError

@hookimpl
def register_codings(register):
    for coding in (Exits, Hangs, Prints, Raises):
        register(coding)
'''


@pytest.fixture(scope="module")
def folder(plugin_folder: Callable[[str], Path]) -> Path:
    return plugin_folder(PLUGINS)


@pytest.fixture
def counting(folder: Path, data: SearchData) -> Iterator[CountingProcess]:
    counting = CountingProcess((folder,), ONE_CORE)
    counting.tell(data)
    yield counting
    counting.close()


def candidate(folder: Path, coding: str) -> Candidate:
    return from_flat({"task": "digits", "coding": coding, "backbone": "mlp"}, load_registry((folder,)))


def test_it_counts_as_this_process_would(counting: CountingProcess, folder: Path, data: SearchData) -> None:
    here = Workloads(load_registry((folder,)), data)
    for coding in ("rate", "css", "prints"):
        judged = candidate(folder, coding)
        assert counting(judged) == pytest.approx(here.seconds(judged)), coding


@pytest.mark.slow
def test_what_can_not_be_counted_is_infinitely_dear_and_the_next_is_counted(
    counting: CountingProcess, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counting(candidate(folder, "raises")) == math.inf
    assert counting(candidate(folder, "rate")) < math.inf
    assert counting(candidate(folder, "exits")) == math.inf
    assert counting(candidate(folder, "rate")) < math.inf
    monkeypatch.setattr(counting, "_limit_s", 0.5)
    started = time.monotonic()
    assert counting(candidate(folder, "hangs")) == math.inf
    assert time.monotonic() - started < 5
    assert counting(candidate(folder, "rate")) < math.inf


@pytest.mark.slow
def test_it_gives_up_when_it_is_lost_again_and_again(
    counting: CountingProcess, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert counting(candidate(folder, "exits")) == math.inf
    first, last = (record.getMessage() for record in caplog.records)  # the first and the last loss, not each
    assert first.endswith("ended with exit code 3: its last words; it is started again")
    assert last.endswith("ended with exit code 3: its last words; costs are not predicted any more")
    judged = candidate(folder, "rate")
    started = time.monotonic()
    assert counting(judged) == math.inf
    assert time.monotonic() - started < 0.1


def test_one_that_is_killed_is_told_of_and_replaced(
    counting: CountingProcess, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counting._process.kill()
    assert counting(candidate(folder, "rate")) == math.inf
    assert [record.getMessage() for record in caplog.records] == [
        "the process that counts operations, to predict costs, ended with SIGKILL; it is started again"
    ]


@pytest.mark.parametrize("python_path", ["", os.pathsep])  # an empty entry is the current folder
def test_it_imports_nothing_from_the_current_folder(
    python_path: str, folder: Path, data: SearchData, shadowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = candidate(folder, "rate")
    monkeypatch.setenv("PYTHONPATH", python_path)
    monkeypatch.setattr(sys, "path", ["", str(shadowed), *sys.path])  # as in a notebook
    counting = CountingProcess((folder,), ONE_CORE)
    counting.tell(data)
    assert counting(judged) < math.inf
    counting.close()


def test_the_limit_is_short_after_the_first_answer(counting: CountingProcess, folder: Path) -> None:
    counting(candidate(folder, "rate"))
    assert counting._limit_s == counting_process._LIMIT_S
