"""The watch over Ray, over listening sockets in place of Ray's processes; tests/chaos kills real ones."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from spikefront.runners.engine.placing import ray_watch
from spikefront.runners.engine.placing.ray_watch import RayLost, RayWatch


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_watch, "_EVERY_S", 0.01)
    monkeypatch.setattr(ray_watch, "_NOTICED_S", 0.05)


@pytest.fixture
def servers() -> Iterator[dict[str, socket.socket]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in ("gcs_server", "raylet")}


class Watch(RayWatch):
    """A watch that is told the ports, of no Ray."""

    def __init__(self, servers: dict[str, socket.socket], local: bool = True) -> None:
        self.ended = threading.Event()
        super().__init__(local, lambda lost: self.ended.set())
        self._ports = {name: server.getsockname() for name, server in servers.items()}


@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_process_that_listens_no_longer_is_lost(name: str, servers: dict[str, socket.socket]) -> None:
    watch = Watch(servers)
    assert not watch.look()
    watch.check()
    servers[name].close()
    assert watch.look() == f"Ray's {name} is gone"
    with pytest.raises(RayLost, match=f"^Ray's {name} is gone$") as raised:
        watch.check()
    assert not isinstance(raised.value, Exception), "Tune would ask Ray to clean up"


def test_a_driver_that_does_not_notice_is_ended_and_one_that_does_is_not(servers: dict[str, socket.socket]) -> None:
    stuck, quick, over = (Watch(servers) for _ in range(3))
    servers["raylet"].close()
    assert quick.look()
    with pytest.raises(RayLost):
        quick.check()
    over.end()
    for watch in (stuck, quick, over):
        watch._thread.start()
    assert stuck.ended.wait(10)
    for watch in (stuck, quick, over):
        watch._thread.join(10)
    assert not quick.ended.is_set()
    assert not over.ended.is_set()
    over.check()
    assert not over.look(), "the search needs Ray no more"


def test_a_cluster_may_be_away_for_a_while(servers: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = Watch(servers, local=False)
    host, port = servers["gcs_server"].getsockname()
    servers["gcs_server"].close()
    watch._look()
    now[0] = ray_watch._PATIENCE_S - 1
    watch._look()
    assert not watch.lost
    with socket.create_server((host, port)):
        watch._look()
    now[0] += 5
    watch._look()
    assert not watch.lost, "it was back meanwhile"
    now[0] += ray_watch._PATIENCE_S + 1
    watch._look()
    assert "gcs_server is gone" in watch.lost
    assert ray_watch._PATIENCE_S < 60 - ray_watch._NOTICED_S, "Ray itself ends the process after 60 s"


def test_this_processes_own_faults_are_no_loss(
    servers: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [OSError(24, "Too many open files"), TimeoutError("a stopped process")] * 2

    def fails(*where: object, timeout: float) -> socket.socket:
        raise errors.pop()

    watch = Watch(servers)
    monkeypatch.setattr(socket, "create_connection", fails)
    while errors:
        assert not watch.look()
