from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = run()
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("no GPU here")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(900)  # it starts a dozen processes
def test_the_script_measures_all_of_its_parts_on_a_cpu() -> None:
    done = run("--device", "cpu", "--only", "neurons", "steps", "trials", "--batch", "4", "--seconds", "0.1")
    assert done.returncode == 0, done.stderr
    sides = ("ours", "ours, bf16", "ours, torch form", "spikingjelly")
    for name in ("if", "lif", "plif", "alif", "tsa", *sides, "1 at a time", "4 at a time"):
        assert f"\n  {name} " in done.stdout
