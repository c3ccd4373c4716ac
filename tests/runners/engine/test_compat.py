from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import time
from importlib.metadata import version
from typing import Any

import pytest
import ray
import torch
from ray._private import services
from ray._private.node import Node
from ray.air.execution._internal import RayActorManager

from spikefront.runners.engine.compat import PATCHES, START_VARIABLE, Patch, lost_workers, patient_start


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


class Starting(Node):
    """A node that starts nothing."""

    def __init__(self, dead: list[Any]) -> None:
        self._dead, self._node_id, self._gcs_address = dead, "id", "address"

    @property
    def gcs_address(self) -> str:
        return str(self._gcs_address)

    def dead_processes(self) -> list[Any]:
        return self._dead


def begin(node: Node) -> None:
    node.start_ray_processes()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make a node known after 50 s; return the moments at which it was asked for, by a clock that needs no time."""
    now, moments = [0.0], list[float]()

    def get_node(address: str, node: str) -> None:
        moments.append(now[0])
        if now[0] < 50:
            raise RuntimeError("not yet")

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + 1))
    monkeypatch.setattr(services, "get_node", get_node)
    monkeypatch.setattr(Node, "start_ray_processes", lambda self: None)
    monkeypatch.delenv(START_VARIABLE, raising=False)
    return moments


def test_a_node_may_take_longer_to_start_than_ray_waits(asked: list[float]) -> None:
    with patient_start():
        begin(Starting([]))
    assert asked[-1] == 50


def test_the_user_says_how_long(asked: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(START_VARIABLE, "40")
    with patient_start():
        begin(Starting([]))
    assert asked[-1] == 39, "then Ray itself asks"


def test_a_process_that_has_ended_is_not_waited_for(asked: list[float]) -> None:
    with patient_start(), pytest.raises(RuntimeError, match="its process raylet ended while it started"):
        begin(Starting([("raylet", None)]))
    assert asked == []


WITHOUT_COMPILER = """
import sys
import torch
from spikefront.runners.engine.compat import without_compiler

def trained(kind):
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    optimizer = kind(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.ones(4, 3)).sum().backward()
        optimizer.step()
    assert layer.weight.grad.grad_fn is None and torch.is_grad_enabled()
    return layer.weight.detach().clone()

kinds = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
without_compiler()
found = [trained(kind) for kind in kinds]
assert "torch._dynamo" not in sys.modules
print([weights.tolist() for weights in found])
"""


def test_workers_train_without_the_compiler_of_torch() -> None:
    found = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], capture_output=True, text=True, check=True)
    expected = []
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        optimizer = kind(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(4, 3)).sum().backward()
            optimizer.step()
        expected.append(layer.weight.detach().tolist())
    assert json.loads(found.stdout) == expected


LIKE_A_WORKER = """
import sys
import torch
from spikefront.plugins import load_registry
from spikefront.plugins.checks.watch import OperationWatch
from spikefront.runners.engine.compat import without_compiler
from spikefront.runners.engine.placing.worker import CandidateTrainable
from spikefront.runners.judging.judge import Judging
from spikefront.searchspace import from_flat

class Seen(OperationWatch):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        names.append(str(function))
        return function(*args, **(kwargs or {}))

def seen():
    names.clear()
    with Seen():
        torch.ones(3).mul(2)
    return list(names)

names = []
without_compiler()
registry = load_registry()
flat = {"task": "digits", "coding": "sac", "backbone": "mlp", "training.epochs": 1, "training.subset": 64}
data = registry.get("task", "digits")().search_data(None, 4)
model = registry.energy_model("horowitz-45nm")
judging = Judging(from_flat(flat, registry), registry=registry, data=data, energy_model=model, memory=8e9)
judging.epoch()
judging.activity()
assert seen() == ["aten.ones.default", "aten.mul.Tensor"], seen()
found = {"torch._dynamo", "sympy", "triton", "numba", "mlflow", "matplotlib", "sklearn", "scipy"} & set(sys.modules)
assert not found, found
import torch._dynamo
assert seen() == ["aten.ones.default", "aten.mul.Tensor"], seen()
"""


def test_a_worker_imports_neither_the_compiler_of_torch_nor_what_only_others_need() -> None:
    subprocess.run([sys.executable, "-c", LIKE_A_WORKER], capture_output=True, text=True, check=True)
