"""What is printed where nobody can read it: it ends no command that has something else to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
LIST = (sys.executable, "-m", "spikefront", "plugins", "--kind", "task")


def test_a_reader_that_goes_away_ends_a_listing_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(LIST, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is full")
def test_a_full_disk_ends_a_listing_with_one_line() -> None:
    with FULL.open("w") as full:
        done = subprocess.run(LIST, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == "spikefront: the output can't be written: No space left on device\n"


def test_closed_streams_are_taken_by_no_other_file() -> None:
    """Otherwise the next file that is opened is number 1, and what is printed ends in it."""
    code = "import os; from spikefront.search import _open_streams; _open_streams(); os._exit(os.open('/', 0))"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f'exec "$0" -c "{code}" {closed}', sys.executable], timeout=120)
        assert done.returncode > 2, closed


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="no device that is full")
@pytest.mark.parametrize("where", ["a full disk", "a closed pipe", "closed streams"])
def test_a_search_that_nobody_can_read_runs_to_its_end(tmp_path: Path, where: str) -> None:
    to = {"a full disk": "2>/dev/full >/dev/full", "a closed pipe": "2>&1 | true", "closed streams": "<&- >&- 2>&-"}
    asked = "run --task digits --trials 2 --epochs 1 --workers 1 --set coding=direct --set backbone=mlp --name unread"
    command = f'"{sys.executable}" -m spikefront {asked} {to[where]}'
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=tmp_path, timeout=200)
    assert done.returncode == 0
    front = [sys.executable, "-m", "spikefront", "pareto", "--search", "unread"]
    assert subprocess.run(front, cwd=tmp_path, timeout=100, stdout=subprocess.DEVNULL).returncode == 0
