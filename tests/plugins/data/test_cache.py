"""What is computed once on a node, by processes that really run side by side, are killed, or can't write."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from spikefront.plugins.data.cache import cached, fingerprint, mapped, new_array
from spikefront.searchspace import UsageError, Value

MAKER = """
import os, sys, time
from pathlib import Path
from spikefront.plugins.data.cache import cached

def make(folder):
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.getpid()}\\n")
    (folder / "half").write_text("made")
    time.sleep(float(sys.argv[2]))
    (folder / "rest").write_text("made")

folder = cached("thing", {"steps": 4}, make)
assert sorted(path.name for path in folder.iterdir()) == ["half", "rest"], list(folder.iterdir())
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "spikefront"


def start(log: Path, seconds: float) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", MAKER, str(log), str(seconds)], env=environment)


def touch(folder: Path) -> None:
    (folder / "file").touch()


def test_it_is_made_once_for_each_key() -> None:
    made: list[Path] = []
    keys: list[dict[str, Value]] = [{"steps": 4}, {"steps": 5}, {"steps": 4}, {"steps": 4, "binning": "time"}]
    folders = [cached("thing", key, made.append) for key in keys]
    assert len(made) == len(set(folders)) == 3
    assert folders[0] == folders[2]
    assert cached("other", keys[0], made.append) not in folders
    assert all(folder.is_dir() for folder in folders)


def test_order_of_the_key_does_not_matter() -> None:
    assert cached("thing", {"a": 1, "b": 2}, touch) == cached("thing", {"b": 2, "a": 1}, touch)


@pytest.mark.slow
def test_processes_that_want_the_same_wait_for_the_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(log, 1.0) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_and_made_anew(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "log"
    killed = start(log, 600)
    while not list(cache.glob("*.part/half")):
        time.sleep(0.02)
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    assert start(log, 0).wait(60) == 0
    assert len(log.read_text().splitlines()) == 2
    assert list(cache.glob("*.part")) == []


def test_failure_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        touch(folder)
        raise UsageError("a.bin: cut short")

    with pytest.raises(UsageError, match=r"^a\.bin: cut short$"):
        cached("thing", {}, fail)
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []
    assert (cached("thing", {}, touch) / "file").exists()


def test_cache_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"^cache .*file/spikefront: Not a directory; set XDG_CACHE_HOME to another$"):
        cached("thing", {}, touch)


def test_unreadable_source_is_not_taken_for_the_cache(tmp_path: Path) -> None:
    def copy(folder: Path) -> None:
        (folder / "copy").write_bytes((tmp_path / "absent").read_bytes())

    with pytest.raises(UsageError, match=rf"^{tmp_path}/absent: No such file or directory$"):
        cached("thing", {}, copy)


def test_fingerprint_changes_with_place_size_and_time(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"abc")
    other.write_bytes(b"abc")
    seen = {fingerprint(one), fingerprint(other)}
    os.utime(one, ns=(0, one.stat().st_mtime_ns + 1_000_000_000))
    seen.add(fingerprint(one))
    before = one.stat().st_mtime_ns
    one.write_bytes(b"abcd")
    os.utime(one, ns=(0, before))
    seen.add(fingerprint(one))
    assert len(seen) == 4
    assert fingerprint(one) == fingerprint(one)


def test_array_is_filled_piece_by_piece_and_mapped(tmp_path: Path) -> None:
    array = new_array(tmp_path / "a.npy", (5, 2, 3), "u1")
    for place in range(5):
        array[place] = place
    tensor = mapped(tmp_path / "a.npy")
    assert tensor.dtype == torch.uint8
    assert torch.equal(tensor, torch.arange(5, dtype=torch.uint8).view(5, 1, 1).expand(5, 2, 3))
    tensor += 1  # stays in this process
    assert np.load(tmp_path / "a.npy")[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_mapped_array_takes_no_memory_until_it_is_read(tmp_path: Path) -> None:
    new_array(tmp_path / "a.npy", (64, 1 << 20), "u1")[:] = 1  # 64 MiB

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    tensor = mapped(tmp_path / "a.npy")
    assert resident() - before < 8 << 20
    assert int(tensor[0].sum()) == 1 << 20
