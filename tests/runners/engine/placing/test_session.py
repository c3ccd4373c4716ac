from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import ray
import torch
import torch.distributed as dist

from spikefront.runners.engine.compat import START_S, START_VARIABLE
from spikefront.runners.engine.placing.process_group import _store
from spikefront.runners.engine.placing.session import (
    DRIVER_ENVIRONMENT,
    PATIENCE,
    WORKER_ENVIRONMENT,
    RaySession,
    environment,
)
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

LOOPBACK = {
    "0100007F",
    "00000000000000000000000001000000",
    "0000000000000000FFFF00000100007F",  # IPv4's, of a socket of IPv6
}
"""127.0.0.1 and ::1 as /proc/net/tcp and tcp6 write them."""
LOGGERS = ("ray", "ray.tune", "ray.train", "ray.data")


@pytest.fixture(autouse=True)
def as_before_ray_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_CLIENT_MODE", raising=False)


@pytest.mark.parametrize(("set_to", "left"), [("0", None), ("1", "1")])  # Ray's import sets 0, a user 1
def test_what_ray_sets_when_it_is_imported_is_removed(
    set_to: str, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_CLIENT_MODE", set_to)
    with environment({}):
        pass
    assert os.environ.get("RAY_CLIENT_MODE") == left


def test_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFRONT_SET", "before")
    monkeypatch.delenv("SPIKEFRONT_UNSET", raising=False)
    before = dict(os.environ)
    with environment({"SPIKEFRONT_SET": "inside", "SPIKEFRONT_UNSET": "inside"}):
        assert os.environ["SPIKEFRONT_SET"] == os.environ["SPIKEFRONT_UNSET"] == "inside"
        os.environ["RAY_AUTH_MODE"] = "as Ray sets it"
    assert dict(os.environ) == before


def test_session_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # the user's own
    environment_before, stdout = dict(os.environ), sys.stdout
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    came: list[int] = []
    handler = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    with RaySession(SearchSettings("digits", name="s", folder=tmp_path, workers=1)) as session:
        session.wait()
        assert ray.is_initialized()
        os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM]
        assert (DRIVER_ENVIRONMENT | WORKER_ENVIRONMENT).items() <= os.environ.items()
        folder = session._folder
        assert list(folder.glob("session_*/sockets/raylet"))
        assert not {"dashboard.py", "monitor.py", "log_monitor.py"} & set(scripts())  # each would delay the first trial
        assert any("gcs_server" in script for script in scripts())
    assert not folder.exists()
    assert not ray.is_initialized()
    assert dict(os.environ) == environment_before
    assert {name: logging.getLogger(name).level for name in LOGGERS} == levels
    assert sys.stdout is stdout
    os.kill(os.getpid(), signal.SIGTERM)
    assert came == [signal.SIGTERM] * 2
    signal.signal(signal.SIGTERM, handler)


def niceness() -> int:
    """Return the niceness of the thread that trains, in a worker."""
    return os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="Windows has no niceness")
@pytest.mark.parametrize("asked", [0, 4])
def test_workers_are_as_nice_as_asked_beyond_the_command(
    asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))  # the worker has to import this file
    with RaySession(SearchSettings("digits", name="s", folder=tmp_path, workers=1, nice=asked)) as session:
        session.wait()
        assert ray.get(ray.remote(niceness).remote()) == niceness() + asked


def test_address_that_is_none_is_refused_before_ray_starts(tmp_path: Path) -> None:
    before = dict(os.environ)
    with pytest.raises(UsageError, match=r"^address='somewhere' must read HOST:PORT"):
        SearchSettings("digits", name="s", folder=tmp_path, address="somewhere")
    assert not ray.is_initialized()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "127.0.0.1:1",
            r"address='127\.0\.0\.1:1': no Ray cluster answers \(Connection refused\); start one with: ray start",
        ),
        ("somewhere", r"address='somewhere' must read HOST:PORT"),
    ],
)
def test_a_cluster_that_does_not_answer_is_one_clear_error(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RaySession(SearchSettings("digits", name="s", folder=tmp_path, address=address)).__enter__()
    assert not (tmp_path / "s").exists()


def test_more_gpus_than_there_are_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    settings = SearchSettings(name="s", folder=tmp_path, gpus_per_trial=torch.cuda.device_count() + 1)
    with (
        RaySession(settings) as session,
        pytest.raises(UsageError, match=r"gpus_per_trial=\d\.0 is more than the \d GPUs"),
    ):
        session.wait()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            Exception("The current node timed out\nduring startup. It may be overloaded."),
            r"The current node timed out during startup\. It may be overloaded\.; if this machine was busy, "
            r"run it again when it is less so, or let Ray wait longer: RAY_raylet_start_wait_time_s=600$",
        ),
        (
            OSError(28, "No space left on device"),
            r"\[Errno 28\] No space left on device; free some in \S+, or set RAY_TMP",
        ),
        (KeyError(), "KeyError$"),
        (AssertionError("odd"), "odd$"),
    ],
)
def test_whatever_ray_raises_while_it_starts_is_one_line(
    error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    with (
        RaySession(SearchSettings("digits", name="s", folder=tmp_path)) as session,
        pytest.raises(UsageError, match=f"^Ray did not start on this machine: {message}") as raised,
    ):
        session.wait()
    assert "\n" not in raised.value.on_command_line()


@pytest.mark.parametrize("asked", [None, "7"])
def test_ray_is_given_time_unless_the_user_says_how_much(
    asked: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked is not None:
        monkeypatch.setenv(START_VARIABLE, asked)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    with RaySession(SearchSettings("digits", name="s", folder=tmp_path)):
        assert os.environ[START_VARIABLE] == (asked or str(START_S))
        assert PATIENCE.keys() <= os.environ.keys()
    assert os.environ.get(START_VARIABLE) == asked


def own_processes() -> list[Path]:
    """Return the folders in /proc of this process and all that descend from it."""
    found, parents = [os.getpid()], {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for parent in found:
        found += [pid for pid in parents if parents[pid] == parent]
    return [Path("/proc") / str(pid) for pid in found]


def scripts() -> list[str]:
    """Return the last part of each path in the command lines of ``own_processes``."""
    words = [word for proc in own_processes() for word in (proc / "cmdline").read_text().split("\0")]
    return [word.rpartition("/")[2] for word in words]


def listening(proc: Path) -> set[str]:
    """Return the addresses at which a process listens, as the kernel's tables of it have them."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in (proc / "net" / table).read_text().splitlines()[1:]]
    sockets = {row[9]: row[1].partition(":")[0] for row in rows if row[3] == "0A"}
    found = set()
    for descriptor in (proc / "fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    return {sockets[inode] for inode in found & sockets.keys()}


def listen() -> set[str]:
    """Return where a worker listens that has begun a group of processes."""
    store = _store(ray.util.get_node_ip_address(), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    dist.all_reduce(torch.ones(1))
    return listening(Path("/proc/self"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux has these tables")
def test_a_search_on_this_machine_listens_on_its_loopback_address_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))  # the worker has to import this file
    with RaySession(SearchSettings("digits", name="s", folder=tmp_path, workers=1)) as session:
        session.wait()
        worker = ray.get(ray.remote(listen).remote())
        found = [((proc / "comm").read_text().strip(), listening(proc)) for proc in own_processes()]
    assert worker == {"0100007F", "0000000000000000FFFF00000100007F"}  # of the store and of Ray
    assert {"gcs_server", "raylet"} <= {name for name, addresses in found if addresses}
    assert all(addresses <= LOOPBACK for _, addresses in found), found
