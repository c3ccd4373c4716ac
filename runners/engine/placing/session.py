"""Ray for the length of a search."""

from __future__ import annotations

import logging
import math
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from typing import Any, Final, Self

import ray

from spikefront.runners.engine.placing.environment import DRIVER_ENVIRONMENT, WORKER_ENVIRONMENT
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

_CONNECT_TIMEOUT_S: Final = 5.0
_TOKEN_HINT: Final = (
    "; a cluster that asks for a token (Ray's default for new ones) needs RAY_AUTH_MODE=token here, and the token that "
    "'ray get-auth-token' prints on its first machine"
)


def check_address(address: str | None) -> None:
    """Find out in seconds whether a cluster answers; Ray itself would try for minutes.

    Raises:
        UsageError: when nothing listens there, or the address is none.
    """
    if address is None or address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise UsageError(f"--address {address!r} must read HOST:PORT (Ray's is 6379 unless set), or auto")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"--address {address}: no Ray cluster answers ({reason}); start one with: ray start --head"
        ) from error


def check_gpus(gpus_per_trial: float) -> None:
    """Raise ``UsageError`` unless it is a share of one GPU or a whole number of them."""
    if gpus_per_trial > 1 and not float(gpus_per_trial).is_integer():
        raise UsageError(
            f"--gpus-per-trial {gpus_per_trial:g}: a fraction shares one GPU, several must be whole; "
            f"take {math.floor(gpus_per_trial)} or {math.ceil(gpus_per_trial)}"
        )


class RaySession:
    """Ray on this machine, or a joined cluster, for as long as the context lasts.

    It starts in the background, since that takes seconds which the driver can use; ``wait`` before using it.

    Raises:
        UsageError: on entering, when no cluster answers at the address, or a trial can't have that many GPUs.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ray-start")
        self._quiet = ExitStack()

    def __enter__(self) -> Self:
        check_gpus(self._settings.gpus_per_trial)
        check_address(self._settings.address)
        os.environ.update(DRIVER_ENVIRONMENT)
        for name in ("ray", "ray.tune", "ray.train", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # each failure is told, once, with its reason
        # stdout is for results, and Ray's threads write there whenever a node goes away, until the shutdown
        self._quiet.enter_context(redirect_stdout(self._quiet.enter_context(open(os.devnull, "w"))))
        self._started = self._executor.submit(self._start)
        return self

    def _start(self) -> None:
        common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self._settings.address is not None:
            ray.init(address=self._settings.address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **common)
            return
        os.environ.update(WORKER_ENVIRONMENT)  # inherited, so that the workers Ray starts ahead of need can be used
        gpus = None if self._settings.gpus_per_trial else 0
        # "local": a stale address in Ray's temporary folder must not make it look for a cluster
        ray.init(address="local", num_cpus=self._settings.workers, num_gpus=gpus, include_dashboard=False, **common)

    def wait(self) -> None:
        """Return when Ray is ready.

        Raises:
            UsageError: when it did not start, or the cluster does not answer.
        """
        try:
            self._started.result()
        except (OSError, RuntimeError, ValueError) as error:
            where, reason = self._settings.address or "this machine", " ".join(str(error).split())
            hint = _TOKEN_HINT if where not in ("this machine", "auto") else ""
            raise UsageError(f"Ray did not start on {where}: {reason}{hint}") from error
        asked = self._settings.gpus_per_trial
        if self._settings.address is None and asked > (there := ray.cluster_resources().get("GPU", 0)):
            # Ray would wait for such a machine for ever; a cluster may still grow
            raise UsageError(f"--gpus-per-trial {asked:g} is more than the {there:g} GPUs of this machine")

    def __exit__(self, *exception: object) -> None:
        self._started.exception()  # let a start that is under way come to its end
        ray.shutdown()
        # last: Ray's processes are tied to the thread that started them, and would be killed with it
        self._executor.shutdown()
        self._quiet.close()
