from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from spikefront.plugins import Data, Registry
from spikefront.runners.judging import training
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import from_flat

SCRIPT = """
import resource, sys
import torch
from spikefront.runners.judging.allocation import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(3 << (20 - number % 4)) for number in range(12)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    assert keep_freed_memory()
print([faults() for _ in range(8)][-1])
"""


def faults(mode: str) -> int:
    """Return the page faults of a process that takes 70 MB for the eighth time."""
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "OMP_NUM_THREADS": "1",
    }  # what a user may have set: a malloc
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_not_faulted_in_again_whatever_the_environment() -> None:
    assert faults("returned") > 5_000  # 70 MB in pages of 4 kB are 17,000
    assert faults("kept") < 100


def test_all_training_keeps_freed_memory(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search, ``judge``, ``confirm`` and twins all train by a ``Trainer``."""
    kept: list[bool] = []
    monkeypatch.setattr(training, "keep_freed_memory", lambda: kept.append(True))
    candidate = from_flat({"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2}, registry)
    data = Data(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4))
    task = registry.get("task", "digits")()
    training.Trainer(assemble(candidate, registry, (1, 8, 8), 10), task, data, candidate.training, seed=0)
    assert kept == [True]
