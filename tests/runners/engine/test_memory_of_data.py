"""What the data of a search take of a node's memory: their own size and little more, however many workers read them."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import ray
import torch

from spikefront.plugins import Registry, load_registry
from spikefront.plugins.tasks.fashion_mnist import DEBIAN_FOLDER
from spikefront.runners.engine.placing.data import SharedData
from spikefront.searchspace import from_flat

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="needs Debian's package dataset-fashion-mnist"),
]

TENSORS = 60_000 * (28 * 28 + 8)
"""Bytes of images and labels that a search reads."""

LIMIT = 1.3
FLAT = {"task": "fashion-mnist", "coding": "direct"}


def own_memory(process: int | str = "self") -> int:
    """Bytes of a process that are neither a file's nor shared with others."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def in_store(process: int | str = "self") -> int:
    """Bytes of shared memory that a process has touched, divided by how many share them."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    return int(rollup.split("Pss_Shmem:")[1].split()[0]) * 1024


@ray.remote(num_cpus=1)
class Reader:
    """A worker, as far as it reads data."""

    def __init__(self) -> None:
        self._registry: Registry = load_registry(third_parties=False)

    def read(self, shared: SharedData, trials: int) -> int:
        """Read all samples for one trial after another, and return what that added to its own memory."""
        candidate = from_flat(FLAT, self._registry)
        batch = torch.zeros(512, 1, 28, 28)
        batch.sum()
        before = own_memory()
        for _ in range(trials):
            self._data = shared.data_for(candidate, self._registry)
            for split in (self._data.train, self._data.validation):
                for part in split.inputs.split(len(batch)):
                    assert batch[: len(part)].copy_(part).sum() > 0
        return own_memory() - before

    def shared(self) -> int:
        return in_store()


@pytest.mark.usefixtures("local_ray")
def test_workers_add_nothing_to_the_one_copy_of_a_node() -> None:
    registry = load_registry(third_parties=False)
    task = registry.get("task", "fashion-mnist")
    shared = ray.put(SharedData.of(task().search_data(None, 1), task))
    readers = [Reader.remote() for _ in range(4)]  # type: ignore[attr-defined]
    own = ray.get([reader.read.remote(shared, trials=3) for reader in readers])
    raylet = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/comm") if path.read_text() == "raylet\n"]
    store = sum(ray.get([reader.shared.remote() for reader in readers])) + sum(map(in_store, raylet)) + in_store()
    print(f"{TENSORS} bytes of tensors: {store} in the store, {own} in the workers beside it")
    assert store > 0.9 * TENSORS  # it is there that they read
    assert store + sum(own) < LIMIT * TENSORS


def write_excerpt(folder: Path, images: int) -> Path:
    """Write the beginning of Fashion-MNIST, in its own format."""
    from spikefront.plugins.tasks.fashion_mnist import read_idx

    folder.mkdir()
    for part in ("train", "t10k"):
        for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
            array = read_idx(DEBIAN_FOLDER / f"{name}.gz").numpy()[:images]
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / name).write_bytes(header + np.ascontiguousarray(array).tobytes())
    return folder


def memory_of_the_driver(folder: Path, data_dir: Path) -> int:
    """Run a search in a new folder, and return the least bytes that its driver had to itself while it ran."""
    folder.mkdir()
    command = [sys.executable, "-m", "spikefront.search", "run", "--task", "fashion-mnist", "--name", "one"]
    command += ["--data-dir", str(data_dir), "--trials", "6", "--workers", "2", "--epochs", "4", "--no-early-stopping"]
    for narrowing in ("coding=direct", "backbone=mlp", "steps=4", "training.subset=256"):
        command += ["--set", narrowing]
    seen: list[int] = []
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as search:
        while search.poll() is None:
            if (folder / "searches" / "one" / "journal.log").exists():
                with suppress(IndexError):  # it has just ended
                    seen.append(own_memory(search.pid))
            time.sleep(0.1)
    assert search.returncode == 0
    return min(seen)


def test_driver_keeps_no_copy_beside_that_of_its_node(tmp_path: Path) -> None:
    few = write_excerpt(tmp_path / "few", 3600)
    little = memory_of_the_driver(tmp_path / "a", few)
    much = memory_of_the_driver(tmp_path / "b", DEBIAN_FOLDER)
    print(f"a driver with all of Fashion-MNIST has {(much - little) / TENSORS:.2f} times its size more")
    assert much - little < (LIMIT - 1) * TENSORS
