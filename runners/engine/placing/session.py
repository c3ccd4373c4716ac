"""Ray during a search: start, settings of its processes, shutdown."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any, Final, Self

import ray

from spikefront.runners.engine.compat import (
    START_S,
    START_VARIABLE,
    job_config,
    on_loopback,
    patient_start,
    without_services,
)
from spikefront.runners.engine.import_path import named_folders
from spikefront.runners.engine.interruption import kept_handler
from spikefront.runners.engine.placing.authentication import prepare_token, warn_if_disabled
from spikefront.runners.engine.placing.ray_folder import ray_folder
from spikefront.runners.engine.placing.ray_watch import RayWatch
from spikefront.runners.engine.placing.reaper import MARK
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

WORKER_ENVIRONMENT: Final = {
    # glibc returns freed activations of 10 to 25 MB to the kernel at every step; kept, a training step is up to twice
    # as fast
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONSAFEPATH": "1",  # Pythons that a plugin starts do not import from the current folder either
}
"""Environment variables of processes that train."""

DRIVER_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # Tune does not use these workers, and starting them takes time
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow is the record; no CSV, JSON and TensorBoard files per trial
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a missing metric is one failed trial, not the end of the search
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own snapshot is never read
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Environment variables of the driver, before it starts Ray."""

LOCAL_ENVIRONMENT: Final = {
    # torch.distributed's own choice is the address of the host's name
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
    "NCCL_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
}
"""Environment variables of all processes of a search on one machine, which listen on its loopback address only."""

PATIENCE: Final = {
    START_VARIABLE: str(START_S),
    "RAY_gcs_server_port_wait_time_s": str(START_S),
    "RAY_agent_register_timeout_ms": str(1000 * START_S),
    "RAY_worker_register_timeout_seconds": str(START_S),
}
"""How long Ray waits for its processes, unless the user's environment says so; on a busy machine its 30 s are short."""

_CONNECT_TIMEOUT_S: Final = 5.0
_LOGGERS: Final = ("ray", "ray.tune", "ray.train", "ray.data")
_TOKEN_HINT: Final = (
    "; a cluster that asks for a token (Ray's default for new ones) needs RAY_AUTH_MODE=token here, and the token that "
    "'ray get-auth-token' prints on its first machine"
)
_BUSY_HINT: Final = (
    f"; if this machine was busy, run it again when it is less so, or let Ray wait longer: {START_VARIABLE}=600"
)


def worker_environment(settings: SearchSettings) -> dict[str, str]:
    """Return the environment variables of a search's workers.

    Workers add their niceness to that of the command; Ray's own choice, 15, would stop trials beside any busy process.
    """
    return WORKER_ENVIRONMENT | {"RAY_worker_niceness": str(settings.nice)}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside; at the end restore them, and those that Ray sets itself."""
    before = dict(os.environ)
    if before.get("RAY_CLIENT_MODE") == "0":  # its default, which Ray sets when it is imported: earlier than this
        del before["RAY_CLIENT_MODE"]
    os.environ.update(variables)
    try:
        yield
    finally:
        of_ray = {name for name in os.environ if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"}
        for name in of_ray | set(variables):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """Silence Ray's loggers inside: each failure is reported once, with its reason, by the search itself."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def check_address(settings: SearchSettings) -> None:
    """Check within seconds that a cluster answers; Ray itself would try for minutes.

    Raises:
        UsageError: when nothing listens there.
    """
    address = settings.address
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
        reason = getattr(error, "strerror", None) or str(error)
        fix = "start one with: ray start --head"
        raise settings.error("address", f": no Ray cluster answers ({reason}); {fix}") from error


class RaySession:
    """Context in which Ray runs on this machine, or a cluster is joined.

    Ray starts in the background, since that takes seconds which the driver can use; call ``wait`` before using it. At
    the end environment variables and logger levels are what they were.

    Args:
        settings: options of the search.
        stuck: as for ``RayWatch``.

    Attributes:
        watch: watches Ray from ``wait`` on.

    Raises:
        UsageError: on entering, when no cluster answers at the address, or a trial can't have that many GPUs; on
            leaving, when an error comes of a Ray that is gone.
    """

    def __init__(self, settings: SearchSettings, stuck: Callable[[str], None] = lambda lost: None) -> None:
        self._settings = settings
        self.watch = RayWatch(settings.address is None, stuck)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ray-start")
        self._contexts = ExitStack()

    def __enter__(self) -> Self:
        check_address(self._settings)
        variables = {name: value for name, value in PATIENCE.items() if name not in os.environ} | DRIVER_ENVIRONMENT
        if self._settings.address is None:  # inherited, so that the workers Ray starts ahead of need can be used
            self._folder = self._contexts.enter_context(ray_folder())
            variables |= worker_environment(self._settings) | LOCAL_ENVIRONMENT
            variables |= {"PYTHONPATH": os.pathsep.join(named_folders()), MARK: str(self._folder)}
        self._contexts.enter_context(environment(variables))
        warn_if_disabled()
        if self._settings.address is None:
            self._contexts.enter_context(on_loopback())
            self._contexts.enter_context(patient_start())
            self._contexts.enter_context(without_services())
            prepare_token()
        self._contexts.enter_context(_quiet_loggers())
        # stdout is for results, and Ray's threads write there whenever a node goes away, until the shutdown
        self._contexts.enter_context(redirect_stdout(self._contexts.enter_context(open(os.devnull, "w"))))
        self._started = self._executor.submit(self._start)
        return self

    def _start(self) -> None:
        common: dict[str, Any] = {
            "job_config": job_config(),
            "log_to_driver": False,
            "logging_level": logging.CRITICAL,
        }
        with kept_handler():  # Ray's own would print a stack and end the process
            self._connect(common)

    def _connect(self, common: Mapping[str, Any]) -> None:
        if self._settings.address is not None:
            variables = worker_environment(self._settings)
            ray.init(address=self._settings.address, runtime_env={"env_vars": variables}, **common)
            return
        gpus = None if self._settings.gpus_per_trial else 0
        # "local": a stale address in Ray's temporary folder must not make it look for a cluster
        ray.init(
            address="local",
            num_cpus=self._settings.worker_count,
            num_gpus=gpus,
            include_dashboard=False,
            _node_ip_address=ray.util.get_node_ip_address(),
            _temp_dir=str(self._folder),
            **common,
        )

    def wait(self) -> None:
        """Return when Ray is ready.

        Raises:
            UsageError: when it did not start, or the cluster does not answer.
        """
        try:
            self._started.result()
        except Exception as error:  # Ray raises bare ones, too
            where, reason = self._settings.address or "this machine", " ".join(str(error).split())
            raise UsageError(
                f"Ray did not start on {where}: {reason or type(error).__name__}{self._hint(reason)}"
            ) from error
        gpus = self._settings.gpus_per_trial
        if self._settings.address is None and gpus > (available := ray.cluster_resources().get("GPU", 0)):
            # Ray would wait for such a machine without end; a cluster may still grow
            problem = f"is more than the {available:g} GPUs of this machine"
            raise self._settings.error("gpus_per_trial", problem)
        self.watch.begin()

    def _hint(self, reason: str) -> str:
        """Return what may help when Ray did not start."""
        if self._settings.address is not None:
            return "" if self._settings.address == "auto" else _TOKEN_HINT
        if "No space left" in reason:
            return f"; free some in {self._folder.parent}, or set RAY_TMPDIR to a folder with more"
        return _BUSY_HINT if "timed out" in reason.lower() else ""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        lost = self.watch.look() if isinstance(error, Exception) else ""
        self.watch.end()
        self._started.exception()  # wait for a start that is under way
        with kept_handler():
            ray.shutdown()
        # last: Ray's processes are tied to the thread that started them, and would be killed with it
        self._executor.shutdown()
        self._contexts.close()
        if lost and not isinstance(error, UsageError):
            raise UsageError(f"{lost}; run it again") from error
