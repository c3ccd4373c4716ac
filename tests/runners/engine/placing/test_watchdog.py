"""A watchdog ends a process that hangs, and the next one can read where it was."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikefront.runners.engine.placing.watchdog import Watchdog, reason_of_hang

REASON = "epoch 2 did not end within 1 s (--epoch-timeout)"

HANGS = """
import ctypes, sys, threading, time
from pathlib import Path
import torch
from spikefront.runners.engine.placing.watchdog import Watchdog

def hang_in_python():
    threading.Event().wait(60)

def hang_in_c_with_pythons_lock():
    ctypes.PyDLL(None).sleep(60)

class Sleep(torch.nn.Module):
    forward = staticmethod(time.sleep)  # C code, called by PyTorch's

def hang_in_torch():
    Sleep()(60)

def hang_beside_others():
    threading.Thread(target=hang_in_python, daemon=True).start()
    while True:
        pass

with Watchdog(Path(sys.argv[1])).limit(1, sys.argv[2]):
    {call}()
print("went on")
"""


def hang(folder: Path, path: Path, call: str) -> subprocess.CompletedProcess[str]:
    (folder / "hangs.py").write_text(HANGS.replace("{call}", call))
    arguments = [sys.executable, "hangs.py", str(path), REASON]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "where", ["hang_in_python", "hang_in_c_with_pythons_lock", "hang_in_torch", "hang_beside_others"]
)
def test_a_hang_ends_the_process_and_leaves_reason_and_place(tmp_path: Path, where: str) -> None:
    path = tmp_path / "checkpoints" / "trial-00007.hang"
    ended = hang(tmp_path, path, where)
    assert (ended.returncode, ended.stdout) == (1, "")
    line = next(n for n, text in enumerate(HANGS.splitlines(), 1) if f"def {where}" in text)
    reason = reason_of_hang(path)
    assert reason is not None
    assert reason.rpartition(":")[0] == f"{REASON}; it was in hangs.py"
    number, function = reason.rpartition(":")[2].split()
    assert function == where
    assert line < int(number) <= line + 3


def test_a_hang_that_cannot_be_written_down_ends_the_process_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = hang(tmp_path, tmp_path / "file" / "hang", "hang_in_python")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "in hang_in_python" in ended.stderr


def test_what_ends_in_time_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    watchdog = Watchdog(tmp_path / "hang")
    for _ in range(3):
        with watchdog.limit(0.2, REASON):
            assert (tmp_path / "hang").exists()
    time.sleep(0.4)  # nothing is watched
    assert list(tmp_path.iterdir()) == []


def test_an_error_passes_through(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Watchdog(tmp_path / "hang").limit(60, REASON):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [None, "", REASON, f"{REASON}\nWatched: 0x1\n"])
def test_a_process_that_ended_in_another_way_has_no_reason(tmp_path: Path, left: str | None) -> None:
    if left is not None:
        (tmp_path / "hang").write_text(left)
    assert reason_of_hang(tmp_path / "hang") is None


def test_stacks_without_a_place_leave_the_reason(tmp_path: Path) -> None:
    (tmp_path / "hang").write_text(
        f"{REASON}\nWatched: 0x1\nTimeout (0:00:01)!\nThread 0x2 (most recent call first):\n"
    )
    assert reason_of_hang(tmp_path / "hang") == REASON
