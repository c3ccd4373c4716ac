"""Ray's folder of a search on this machine: where it is, and that it goes with the search however that ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spikefront.runners.engine.placing import ray_folder as module
from spikefront.runners.engine.placing.ray_folder import ray_folder
from spikefront.runners.engine.placing.reaper import MARK, processes_of
from spikefront.searchspace import UsageError

LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows processes as files")

DRIVER = """
import time
from spikefront.runners.engine.placing.ray_folder import ray_folder
with ray_folder() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""
SEARCH = """
import time
import ray
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.settings import SearchSettings
with RaySession(SearchSettings("digits", name="s", workers=1)) as session:
    session.wait()
    ray.get(ray.remote(lambda: 1).remote())
    print(session._folder, file=__import__("sys").__stdout__, flush=True)
    time.sleep(600)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for Ray's folders with a short path, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as place:
        monkeypatch.setenv("RAY_TMPDIR", place)
        yield Path(place)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes, and kill them after the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(code: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_private_and_gone_at_the_end(short: Path) -> None:
    before = os.umask(0)
    try:
        with ray_folder() as folder:
            assert folder.parent == short
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            (folder / "session").mkdir(mode=0o777)
    finally:
        os.umask(before)
    assert list(short.iterdir()) == []


def test_two_at_a_time_have_one_each(short: Path) -> None:
    with ray_folder() as one, ray_folder() as other:
        assert one != other
    assert list(short.iterdir()) == []


def test_a_long_tmpdir_is_left_for_a_shorter_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("slurm_job_" * 12)
    long.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with ray_folder() as folder:
        longest = folder / "session_2026-01-01_00-00-00_000000_1234567" / "sockets" / "plasma_store"
        assert len(os.fsencode(longest)) <= 103
    assert not list(long.iterdir())


def test_of_the_usual_places_one_with_room_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(module, "_ROOM", 2**70)
    with (
        pytest.raises(UsageError, match=r"^there is no folder .*/tmp has [\d.]+ MiB left, .*; set RAY_TMPDIR"),
        ray_folder(),
    ):
        pytest.fail("it was made")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("x" * 90, r"is \d+ bytes long, of which Ray's sockets leave \d+; name another folder, such as /tmp"),
        ("file", "is not a folder; name another"),
        ("file/below", "is not a folder; name another"),
    ],
)
def test_a_bad_ray_tmpdir_is_refused(place: str, message: str, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short / "file").touch()
    monkeypatch.setenv("RAY_TMPDIR", str(short / place))
    with pytest.raises(UsageError, match=rf"^RAY_TMPDIR=\S+ {message}"), ray_folder():
        pytest.fail("it was made")


@pytest.mark.parametrize("place", ["new/folder", "."])
def test_a_good_ray_tmpdir_is_taken(place: str, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(short / place))
    with ray_folder() as folder:
        assert folder.parent == short / place


def test_left_overs_of_this_users_dead_drivers_are_removed_and_nothing_else(short: Path, start: Start) -> None:
    for name in ("sf-1234", "session_2026", "sf-5678"):
        (short / name).mkdir()
    (short / "sf-5678" / "driver.host").write_text("another machine")
    (short / "sf-5678" / "driver").touch()
    dead, alive = (start(DRIVER) for _ in range(2))
    left, held = Path(line_of(dead)), Path(line_of(alive))
    (watch,) = Path(f"/proc/{dead.pid}/task/{dead.pid}/children").read_text().split()
    os.kill(int(watch), signal.SIGKILL)
    dead.kill()
    dead.wait()
    assert left.exists()
    with ray_folder():
        assert not left.exists()
        assert held.exists()
    assert {path.name for path in short.iterdir()} == {
        *("sf-1234", "session_2026", "sf-5678"),  # without a lock, foreign, of another machine
        held.name,
    }


@LINUX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_when_the_driver_is_killed_rays_processes_and_folder_go(
    number: signal.Signals, short: Path, start: Start
) -> None:
    driver = start(DRIVER)
    folder = Path(line_of(driver))
    code = "import sys, time; file = open(sys.argv[1], 'a'); print('open', flush=True); time.sleep(600)"
    opens = code.replace("sys.argv[1]", repr(str(folder / "log")))
    of_ray = start(opens, **{MARK: str(folder)})
    reader = start(opens)  # as tail -f of a log
    child = start("import time; print('up', flush=True); time.sleep(600)", **{MARK: str(folder)})
    for process in (of_ray, reader, child):
        line_of(process)
    assert processes_of(str(folder)) == [of_ray.pid]
    driver.send_signal(number)
    wait_until(lambda: not folder.exists())
    assert of_ray.wait(1) == -signal.SIGKILL
    assert reader.poll() is None
    assert child.poll() is None


@LINUX
@pytest.mark.slow
def test_ten_seconds_after_the_driver_of_a_search_was_killed_nothing_of_it_is_left(short: Path, start: Start) -> None:
    driver = start(SEARCH)
    folder = line_of(driver)
    assert len(processes_of(folder)) >= 5  # of them two agents, which would live for a minute
    driver.kill()
    wait_until(lambda: not Path(folder).exists() and not processes_of(folder))


def test_the_machine_of_a_folder_is_written_beside_its_lock(short: Path) -> None:
    with ray_folder() as folder:
        assert (folder / "driver.host").read_text() == socket.gethostname()


@LINUX
def test_a_process_whose_title_overwrote_its_variables_is_found(tmp_path: Path, start: Start) -> None:
    overwrites = """
import ctypes, sys, time
log = open(sys.argv[1], "w")
at, end = (int(field) for field in open("/proc/self/stat").read().rpartition(")")[2].split()[47:49])
ctypes.memset(at, 0, end - at)
print("ready", flush=True)
time.sleep(600)
"""
    process = start(overwrites.replace("sys.argv[1]", repr(str(tmp_path / "log"))), **{MARK: str(tmp_path)})
    other = start(overwrites.replace("sys.argv[1]", repr(str(tmp_path) + "-other")))
    assert line_of(process) == line_of(other) == "ready"
    assert not Path(f"/proc/{process.pid}/environ").read_bytes().strip(b"\0")
    assert processes_of(str(tmp_path)) == [process.pid]
