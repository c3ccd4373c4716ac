from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version

import pytest
import ray
from ray.air.execution._internal import RayActorManager

from spikefront.runners.engine.compat import PATCHES, Patch, lost_workers


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: f"{patch.module}-{patch.name}")
def test_patch_was_checked_with_the_installed_version(patch: Patch) -> None:
    installed = ".".join(version(patch.package).split(".")[:2])
    assert patch.version == installed, f"{patch.why}: check {patch.module} with {patch.package} {installed}"
    assert patch.name in inspect.getsource(importlib.import_module(patch.module)), "it is not there any more"


class Recorder(RayActorManager):
    """An actor manager that starts nothing and records the exceptions of its tasks."""

    def __init__(self) -> None:
        pass


def test_memory_kill_reaches_tune_as_a_lost_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Exception] = []
    monkeypatch.setattr(RayActorManager, "_actor_task_failed", lambda self, task, exception: seen.append(exception))
    original = RayActorManager._actor_task_failed
    manager = Recorder()
    killed, other = ray.exceptions.OutOfMemoryError("too much"), ValueError("other")
    with lost_workers():
        manager._actor_task_failed(None, killed)  # type: ignore[arg-type]
        manager._actor_task_failed(None, other)  # type: ignore[arg-type]
    manager._actor_task_failed(None, killed)  # type: ignore[arg-type]
    assert isinstance(seen[0], ray.exceptions.RayActorError)
    assert "too much" in str(seen[0])
    assert seen[1:] == [other, killed]
    assert RayActorManager._actor_task_failed is original
