"""Data on their way to the workers: through Ray's shared memory, or mapped by each worker for its own T."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray
import torch

from spikefront.plugins import ContractError, Registry, SearchData, load_registry
from spikefront.runners.engine.placing.data import SharedData, share
from spikefront.runners.judging.confirm import confirmation_data
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import Space, UsageError, from_flat, parse_set

BARS = """
import numpy as np
import torch
from spikefront.plugins import Data, SearchData, Task, hookimpl
from spikefront.plugins.data.cache import cached, mapped, new_array

class Bars(Task):
    '''A bar that moves to the left or to the right.'''
    name = "bars"
    inputs = "events"
    mapped = True

    def read(self, steps, part, count):
        def make(folder):
            frames = new_array(folder / "frames.npy", (count, steps, 2, 8, 8), "uint8")
            for number in range(count):
                for step in range(steps):
                    column = (number + step * (1 if number % 2 else -1)) % 8
                    frames[number, step, number % 3 % 2, :, column] = 1 + number % 2
            frames.flush()
        folder = cached("bars", {"steps": steps, "part": part}, make)
        return Data(mapped(folder / "frames.npy"), torch.arange(count) % 2)

    def search_data(self, data_dir, steps):
        return SearchData(self.read(steps, "train", 64), self.read(steps, "validation", 32), 2)

    def test_data(self, data_dir, steps):
        return self.read(steps, "test", 16)

@hookimpl
def register_tasks(register):
    register(Bars)
"""


GRATING = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
import torch
from spikefront.plugins import Data, Int, SearchData, Task, hookimpl

READS = Path("READS")

@dataclass(frozen=True, slots=True)
class GratingConfig:
    width: Annotated[int, Int(1, 4)] = 1
    '''Width of a bar, in pixels.'''

class Grating(Task):
    '''A bar that moves over the whole recording, which is cut into T frames; not mapped.'''
    name = "grating"
    inputs = "events"
    Config = GratingConfig

    def read(self, steps, part, count):
        with READS.open("a") as log:
            print(part, self.config.width, steps, file=log)
        frames = torch.zeros(count, steps, 2, 8, 8, dtype=torch.uint8)
        for number in range(count):
            for tick in range(16):
                column = (number // 2 + tick * (1 if number % 2 else -1)) % 8
                columns = [(column + more) % 8 for more in range(self.config.width)]
                frames[number, tick * steps // 16, 0, :, columns] += 1
        return Data(frames, torch.arange(count) % 2)

    def search_data(self, data_dir, steps):
        return SearchData(self.read(steps, "train", 64), self.read(steps, "validation", 32), 2)

    def test_data(self, data_dir, steps):
        return self.read(steps, "test", 16)

@hookimpl
def register_tasks(register):
    register(Grating)
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bars.py").write_text(BARS)
    (tmp_path / "plugins" / "grating.py").write_text(GRATING.replace('READS"', f'{tmp_path / "reads.txt"}"'))
    return load_registry((tmp_path / "plugins",), third_parties=False)


@pytest.mark.usefixtures("local_ray")
def test_processes_of_a_node_read_the_same_memory(registry: Registry) -> None:
    """A copy could be written to; Ray's shared memory can't."""

    @ray.remote
    def is_shared(shared: SharedData) -> bool:
        registry = load_registry(third_parties=False)
        assert shared.splits is not None
        inputs, targets = shared.splits.train
        read = shared.data_for(from_flat({"task": "digits", "coding": "direct"}, registry), registry)
        return read.train.inputs.data_ptr() == inputs.ctypes.data and not (
            inputs.flags.writeable or targets.flags.owndata
        )

    task = registry.get("task", "digits")
    data: SearchData = task().search_data(None, 1)
    reference = ray.put(SharedData.of(data, task))
    assert ray.get([is_shared.remote(reference) for _ in range(2)]) == [True, True]


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_data_are_those_of_the_candidates_own_steps_and_settings(registry: Registry, tmp_path: Path) -> None:
    """The driver reads the default's, T = 4; below and above it a candidate is evaluated as ``judge`` does."""
    task, folders = registry.get("task", "grating")(), (tmp_path / "plugins",)

    @ray.remote
    def metrics(shared: SharedData, flat: dict[str, object]) -> dict[str, float]:
        registry = load_registry(folders, third_parties=False)
        candidate = from_flat(flat, registry)
        return judge(candidate, registry=registry, data=shared.data_for(candidate, registry)).metrics

    shared = share(task.search_data(None, 4), task, plugins_dir=folders)
    confirmed = share(confirmation_data(task, None, 4), task, purpose="confirm", plugins_dir=folders)
    log = tmp_path / "reads.txt"
    log.unlink()
    flat = {"task": "grating", "coding": "direct", "backbone": "mlp", "training.epochs": 1, "training.batch": 16}
    candidates = [flat | {"steps": steps} for steps in (2, 4, 6)] + [flat | {"steps": 4, "task.grating.width": 3}]
    found = ray.get([metrics.remote(shared, flat) for flat in candidates for _ in range(2)])
    assert sorted(log.read_text().splitlines()) == sorted(
        f"{part} {width} {steps}" for width, steps in ((1, 2), (1, 6), (3, 4)) for part in ("train", "validation")
    ), "each once, and the default's not again"
    for number, candidate in enumerate(candidates):
        expected = judge(candidate, registry=registry).metrics
        for metric in ("quality", "energy_nj", "loss", "sops"):
            assert found[2 * number][metric] == found[2 * number + 1][metric] == expected[metric], (candidate, metric)

    read = ray.get(confirmed).data_for(from_flat(candidates[0], registry), registry)
    assert torch.equal(read.validation.inputs, task.test_data(None, 2).inputs)
    assert read.train.inputs.shape == (64 + 32, 2, 2, 8, 8)

    lost = ray.get(share(task.search_data(None, 4), task, plugins_dir=(tmp_path / "nothing",)))
    with pytest.raises(UsageError, match="nothing': no such folder"):
        lost.data_for(from_flat(candidates[0], registry), registry)


def test_frames_of_another_number_of_steps_are_refused(registry: Registry) -> None:
    data = registry.get("task", "grating")().search_data(None, 4)
    with pytest.raises(ContractError, match="task 'grating' gave 4 frames per sample, but T is 3"):
        judge({"task": "grating", "coding": "direct", "steps": 3}, registry=registry, data=data)


def test_mapped_data_are_read_for_the_candidates_own_number_of_steps(registry: Registry) -> None:
    task = registry.get("task", "bars")
    shared = SharedData.of(task().search_data(None, 1), task)
    assert shared.splits is None  # nothing goes through Ray
    for steps in (2, 5):
        candidate = from_flat({"task": "bars", "coding": "direct", "steps": steps}, registry)
        data = shared.data_for(candidate, registry)
        assert data.train.inputs.shape == (64, steps, 2, 8, 8)
        assert str(data.train.inputs.dtype) == "torch.uint8"
        assert _maps(data.train.inputs)


def _maps(tensor: torch.Tensor) -> bool:
    """Say whether a tensor's memory belongs to a mapped file of the cache."""
    address = tensor.data_ptr()
    for line in Path(f"/proc/{os.getpid()}/maps").read_text().splitlines():
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if low <= address < high:
            return line.endswith("frames.npy")
    return False


def test_a_relative_folder_means_the_same_to_workers(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = registry.get("task", "bars")
    monkeypatch.chdir(tmp_path)
    assert SharedData.of(task().search_data(None, 1), task, Path("mine")).data_dir == tmp_path / "mine"


def test_confirming_reads_the_test_split(registry: Registry) -> None:
    task = registry.get("task", "bars")
    shared = SharedData.of(confirmation_data(task(), None, 1), task, purpose="confirm")
    data = shared.data_for(from_flat({"task": "bars", "coding": "direct", "steps": 3}, registry), registry)
    assert (len(data.train), len(data.validation)) == (64 + 32, 16)
    assert torch.equal(data.validation.inputs, task().test_data(None, 3).inputs)


def test_events_are_learnt_and_cost_accumulates_only(registry: Registry) -> None:
    flat = {"task": "bars", "coding": "direct", "backbone": "mlp", "steps": 4}
    found = judge({**flat, "training.epochs": 12, "training.batch": 16, "neuron.lif.threshold": 0.5}, registry=registry)
    assert found.metrics["quality"] > 0.9
    first = next(layer for layer in found.counts.layers if layer.role == "synapse")
    validation = registry.get("task", "bars")().search_data(None, 4).validation
    assert found.counts.samples == len(validation)
    width = first.geometry.outputs if first.geometry else 0
    assert (first.sops, first.macs) == (int(validation.inputs.sum()) * width, 0)


def test_only_codings_that_take_events_are_offered(registry: Registry) -> None:
    offered = {row.name.split(".")[1] for row in Space(registry, "bars").rows() if row.name.startswith("coding.")}
    takes = {name for name, entry in registry.entries["coding"].items() if "events" in entry.plugin.inputs}
    assert offered <= takes
    with pytest.raises(UsageError, match=r"^coding 'latency' takes static input, but task .bars. gives events"):
        Space(registry, "bars", [parse_set("coding=latency")])
