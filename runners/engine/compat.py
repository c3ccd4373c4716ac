"""Patches of other libraries, and uses of what is private to them.

``PATCHES`` lists all of the project with the version that each was checked with. ``test_compat.py`` fails when another
one is installed: look at the listed place, run its tests, then write the new version here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray._private import ray_constants
from ray.air.execution._internal import RayActorManager
from ray.job_config import JobConfig


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
        "optuna",
        "5.0",
        "spikefront.plugins.bases.split_once_tpe",
        "_truncnorm",
        "SciPy's logarithm of the normal distribution is faster than Optuna's in Python",
    ),
    Patch(
        "optuna",
        "5.0",
        "spikefront.plugins.bases.split_once_tpe",
        "_split_trials",
        "TPE splits the trials once per candidate, not once per hyperparameter",
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
        "spikefront.plugins.network.layers",
        "_conv_forward",
        "a convolution with weights other than its own",
    ),
    Patch(
        "torch",
        "2.13",
        "spikefront.runners.judging.workload",
        "TorchDispatchMode",
        "operations of a forward pass are observed one by one",
    ),
)


@contextmanager
def lost_workers() -> Iterator[None]:
    """Make Tune treat a worker that Ray killed for its memory as a lost one; otherwise it ends the search."""
    original = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        killed = isinstance(exception, ray.exceptions.OutOfMemoryError)
        lost = ray.exceptions.RayActorError(error_msg=str(exception)) if killed else exception
        original(self, tracked_actor_task, lost)

    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original  # type: ignore[method-assign]


@contextmanager
def on_loopback() -> Iterator[None]:
    """Make Ray take the loopback address for that of this node; its processes listen on their node's address."""
    original = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = original


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
