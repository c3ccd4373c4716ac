"""Watch over the two processes of Ray that a search can't go on without: its GCS, and the raylet of this machine.

Ray itself waits 60 s for a GCS that is gone, in calls that nothing can interrupt, and then ends the process.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, Self

import ray

_EVERY_S: Final = 0.5
_CONNECT_S: Final = 5.0
_PATIENCE_S: Final = 30.0
"""How long a cluster's process may be away, as while its GCS is restarted; half of what Ray waits."""

_NOTICED_S: Final = 5.0
"""How long the driver may take to notice a loss; then it is taken to wait inside Ray."""

_OWN_FAULTS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EADDRNOTAVAIL)
"""Errors of this process, which say nothing about the other one."""


class RayLost(BaseException):
    """Ray lost a process that the search needs. No ``Exception``: after one of those Tune asks Ray to clean up."""


class RayWatch:
    """A thread that sees within seconds that Ray is gone; ``check`` tells the thread that uses Ray.

    Args:
        local: whether Ray is this driver's own, so that what is gone stays gone.
        stuck: called with what is lost, from another thread, when ``check`` has not told it for seconds, because a call
            of Ray does not return. It has to end the process, as Ray would do after a minute.

    Attributes:
        lost: what is gone; empty while nothing is.
    """

    def __init__(self, local: bool = True, stuck: Callable[[str], None] = lambda lost: None) -> None:
        self._local = local
        self._stuck = stuck
        self._ports: dict[str, tuple[str, int]] = {}
        self._away: dict[str, float] = {}  # since when
        self._told = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spikefront-ray-watch", daemon=True)
        self.lost = ""

    def begin(self) -> Self:
        """Begin to watch the Ray that this process has connected to."""
        context = ray.get_runtime_context()
        host, _, port = context.gcs_address.rpartition(":")
        self._ports["gcs_server"] = (host.strip("[]"), int(port))
        for node in ray.nodes():
            if node["NodeID"] == context.get_node_id():
                self._ports["raylet"] = (node["NodeManagerAddress"], node["NodeManagerPort"])
        self._thread.start()
        return self

    def end(self) -> None:
        """Watch no longer: the search needs Ray no more."""
        self._over.set()

    def check(self) -> None:
        """Raise ``RayLost`` when something is gone."""
        if self.lost and not self._over.is_set():
            self._told.set()
            raise RayLost(self.lost)

    def look(self) -> str:
        """Return what is gone, as of now; of a cluster, as the thread last saw it."""
        if self._local and not self.lost and not self._over.is_set():
            self._look()
        return self.lost

    def _look(self) -> None:
        for name, port in self._ports.items():
            if _listens(port):
                self._away.pop(name, None)
                continue
            since = self._away.setdefault(name, time.monotonic())
            if self._local or time.monotonic() - since > _PATIENCE_S:
                self.lost = self.lost or f"Ray's {name} is gone"

    def _run(self) -> None:
        while not self.lost:
            if self._over.wait(_EVERY_S):
                return
            self._look()
        deadline = time.monotonic() + _NOTICED_S
        while time.monotonic() < deadline:
            if self._told.is_set() or self._over.wait(0.1):
                return
        if not self._over.is_set():
            self._stuck(self.lost)


def _listens(port: tuple[str, int]) -> bool:
    """Return whether a process listens at a port, as far as this process can find out."""
    try:
        socket.create_connection(port, timeout=_CONNECT_S).close()
    except OSError as error:
        return error.errno in _OWN_FAULTS or (isinstance(error, TimeoutError) and port[0].startswith("127."))
    return True
