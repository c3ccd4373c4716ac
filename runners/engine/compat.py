"""Patches of other libraries, and uses of what is private to them.

``PATCHES`` lists all of the project with the version that each was checked with. ``test_compat.py`` fails when another
one is installed: look at the listed place, run its tests, then write the new version here.

Ray Tune is imported where it is patched: Ray itself starts meanwhile, and Tune takes as long to import as torch.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import ray
import torch
from ray._private import ray_constants, services
from ray._private.node import Node
from ray.job_config import JobConfig
from torch.optim import Optimizer
from torch.optim.optimizer import _use_grad_for_differentiable

START_VARIABLE: Final = "RAY_raylet_start_wait_time_s"
START_S: Final = 180
"""Seconds that Ray's node on this machine may take to start, unless that environment variable says otherwise."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One use of a library's private names.

    Attributes:
        package: the library.
        version: major and minor version that it was checked with.
        module: our module.
        name: the private name, as that module writes it.
        why: reason for it.
    """

    package: str
    version: str
    module: str
    name: str
    why: str


PATCHES: Final = (
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "_actor_task_failed",
        "a worker that Ray kills for its memory costs one trial, not the search",
    ),
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "_trial_task_failure",
        "a trial given to a worker that was lost between two trials is given to another; Tune would fail it",
    ),
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "ENABLE_RAY_CLUSTER",
        "Ray of one machine listens on its loopback address, as it does on macOS and Windows, not on all",
    ),
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "_py_driver_sys_path",
        "no worker imports from the driver's current folder",
    ),
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "start_ray_processes",
        "on a busy machine Ray's node may take longer to start than the 30 s that Ray waits for it",
    ),
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "start_api_server",
        "Ray of one machine starts without dashboard, autoscaler and log monitor, which nothing here asks",
    ),
    Patch(
        "ray",
        "2.60",
        "spikefront.runners.engine.compat",
        "_setup_signal_catching",
        "the search handles the signals that end it; Tune's handlers would end it without a reason, and stay",
    ),
    Patch(
        "torch",
        "2.13",
        "spikefront.plugins.codings.gac",
        "_conv_forward",
        "padding of even kernels without torch's warning",
    ),
    Patch(
        "torch",
        "2.13",
        "spikefront.plugins.contracts.network",
        "_modules",
        "the modules of a network are walked through many times in an epoch, without a generator for each level",
    ),
    Patch(
        "torch",
        "2.13",
        "spikefront.plugins.network.layers",
        "_conv_forward",
        "a convolution with weights other than its own",
    ),
    Patch(
        "torch",
        "2.13",
        "spikefront.runners.engine.compat",
        "_use_grad_for_differentiable",
        "a worker's optimiser does not import torch's compiler, 80 MB and 800 modules, which nothing uses there",
    ),
    Patch(
        "torch",
        "2.13",
        "spikefront.plugins.checks.watch",
        "TorchDispatchMode",
        "operations of a forward pass are observed one by one, without torch's compiler",
    ),
)


@contextmanager
def lost_workers() -> Iterator[None]:
    """Make Tune treat a worker that Ray killed for its memory, or that was lost between trials, as any lost one."""
    from ray.air.execution._internal import RayActorManager
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    task_failed, trial_failed = RayActorManager._actor_task_failed, TuneController._trial_task_failure

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        killed = isinstance(exception, ray.exceptions.OutOfMemoryError)
        lost = ray.exceptions.RayActorError(error_msg=str(exception)) if killed else exception
        task_failed(self, tracked_actor_task, lost)

    def failed_in_reset(self: TuneController, trial: Trial, exception: Any) -> None:
        if trial not in self._resetting_trials or not isinstance(exception, ray.exceptions.RayActorError):
            trial_failed(self, trial, exception)
        elif trial.status == Trial.RUNNING:  # the loss of the worker; Tune has set this status for it
            self._try_recover(trial, exception)  # without counting it, as no work of the trial was lost
        else:  # the loss of the same worker's task, which Tune takes for a failure of the recovered trial
            self._resetting_trials.discard(trial)

    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]
    TuneController._trial_task_failure = failed_in_reset  # type: ignore[method-assign]
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = task_failed  # type: ignore[method-assign]
        TuneController._trial_task_failure = trial_failed  # type: ignore[method-assign]


@contextmanager
def on_loopback() -> Iterator[None]:
    """Make Ray take the loopback address for that of this node; its processes listen on their node's address."""
    original = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = original


@contextmanager
def patient_start() -> Iterator[None]:
    """Make Ray wait for its node as long as the environment says, and no longer than its processes live."""
    original = Node.start_ray_processes

    def start(self: Node) -> None:
        original(self)  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + float(os.environ.get(START_VARIABLE, START_S))
        while time.monotonic() < deadline:
            if dead := self.dead_processes():
                raise RuntimeError(f"its process {dead[0][0]} ended while it started")
            with suppress(RuntimeError):  # it is not known yet; afterwards Ray itself asks
                services.get_node(self.gcs_address, self._node_id)
                return
            time.sleep(0.1)

    Node.start_ray_processes = start  # type: ignore[method-assign]
    try:
        yield
    finally:
        Node.start_ray_processes = original  # type: ignore[method-assign]


@contextmanager
def without_services() -> Iterator[None]:
    """Keep Ray of this machine from starting what serves people and clusters: dashboard, autoscaler, log monitor.

    Each is a Python of its own, and Ray waits for the first, whatever ``include_dashboard`` says.
    """
    names = ("start_api_server", "start_monitor", "start_log_monitor")
    originals = {name: getattr(Node, name) for name in names}
    for name in names:
        setattr(Node, name, lambda self, **options: None)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(Node, name, original)


class _StaysEmpty(list[str]):
    """List without a folder, whoever adds some."""

    def extend(self, folders: object) -> None:
        """Do nothing."""


def job_config() -> JobConfig:
    """Return settings of a Ray job whose workers import from where their Python and PYTHONPATH say.

    Ray adds the driver's current folder and the folder of its script, before Python's own library.
    """
    config = JobConfig()
    config._py_driver_sys_path = _StaysEmpty()
    return config


@contextmanager
def without_signals_of_tune() -> Iterator[None]:
    """Keep Tune from handling signals."""
    from ray.tune import tune

    original = tune._setup_signal_catching
    tune._setup_signal_catching = threading.Event
    try:
        yield
    finally:
        tune._setup_signal_catching = original


def without_compiler() -> None:
    """Keep torch's optimisers in this process, where nothing is compiled, from importing torch's compiler.

    Some methods import it at their first call, only to exempt themselves from compilation. Steps run as before, with
    gradients recorded only where the optimiser says so.
    """
    for method in vars(Optimizer).values():
        function = getattr(method, "__wrapped__", None)
        if function is not None and not hasattr(function, "__dynamo_disable"):
            setattr(function, "__dynamo_disable", function)
    for kind in vars(torch.optim).values():
        step = vars(kind).get("step") if isinstance(kind, type) and issubclass(kind, Optimizer) else None
        if step is not None and step.__code__ is _use_grad_for_differentiable(step).__code__:
            kind.step = _plain_step(step.__wrapped__)


def _plain_step(step: Any) -> Any:
    @wraps(step)
    def plain(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return plain
