from __future__ import annotations

import subprocess
import sys

import pytest

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
    environment = {"MALLOC_MMAP_THRESHOLD_": "131072", "OMP_NUM_THREADS": "1"}  # what a user may have set: a malloc
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_not_faulted_in_again_whatever_the_environment() -> None:
    assert faults("returned") > 5_000  # 70 MB in pages of 4 kB are 17,000
    assert faults("kept") < 100
