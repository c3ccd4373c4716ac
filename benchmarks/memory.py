"""Peak memory of trials, one process each, and its growth over many trials in one process.

The named network is that of the other benchmarks: a convnet of width 32 on 10,000 images of Fashion-MNIST, direct
coding, LIF, T = 4, batch 64. Each is trained for an epoch and measured, as a worker of a search does it, but for Ray,
which takes some 150 MB more. The column ``evaluated at once`` is the same with evaluation in batches of 4,096 sample
steps, as before.

Run: python benchmarks/memory.py --data-dir FOLDER [--samples 10000] [--trials 200]
``--trials 0`` leaves out the growth, which trains that many small convnets on digits one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from spikefront.plugins import load_registry
from spikefront.runners.judging import passes
from spikefront.runners.judging.footprint import footprint
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.memory import MB, resident
from spikefront.searchspace import from_flat

NETWORKS: dict[str, dict[str, Any]] = {
    "convnet, width 32, T = 4": {"backbone": "convnet", "backbone.convnet.width": 32},
    "convnet, width 32, T = 8": {"backbone": "convnet", "backbone.convnet.width": 32, "steps": 8},
    "mlp, T = 4": {"backbone": "mlp"},
    "ms-resnet, width 16, T = 4": {"backbone": "ms-resnet", "backbone.ms-resnet.width": 16},
}
BASE = {"coding": "direct", "steps": 4, "neuron": "lif", "training.epochs": 1, "training.batch": 64}
MARKS = 8


def trial(flat: dict[str, Any], folder: str | None) -> dict[str, float]:
    """Train and measure a candidate here, and return its peak, the estimate and what is in use afterwards, in MB."""
    registry = load_registry(third_parties=False)
    candidate = from_flat({**BASE, **flat}, registry)
    data = registry.task(candidate).search_data(None if folder is None else Path(folder), candidate.steps)
    before, estimate = resident(), footprint(candidate, registry, data).total
    judging = Judging(candidate, registry=registry, data=data, energy_model=registry.energy_model("horowitz-45nm"))
    metrics = judging.epoch()
    return {
        "before": before / MB,
        "estimate": estimate / MB,
        "peak": metrics["peak_memory_mb"],
        "after": resident() / MB,
    }


def alone(flat: dict[str, Any], folder: str, *, whole: bool) -> dict[str, float]:
    """Return what ``trial`` returns in a process of its own."""
    command = [sys.executable, __file__, "--data-dir", folder, "--flat", json.dumps(flat)]
    said = subprocess.run([*command, *(["--whole"] if whole else [])], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    return found


def growth(trials: int) -> None:
    """Print the memory in use after some of many trials in this process."""
    few = {"task": "digits", "backbone": "convnet", "training.subset": 128}
    marks = {round(1 + (trials - 1) * at / (MARKS - 1)) for at in range(MARKS)}
    print(
        f"in use after trials of one process, MB (convnets of widths 4 to 32, T from 2 to 8, digits), {trials} trials:"
    )
    for number in range(1, trials + 1):
        found = trial({**few, "backbone.convnet.width": 4 * 2 ** (number % 4), "steps": 2 + number % 7}, None)
        if number in marks:
            print(f"  {number:4d}  {found['after']:6.0f}   peak {found['peak']:6.0f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder of Fashion-MNIST; without it only the growth is measured")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--flat", help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.flat:
        if arguments.whole:
            passes._BOUND.update(dict.fromkeys(passes._BOUND, 2**60))
        print(json.dumps(trial(json.loads(arguments.flat), arguments.data_dir)))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"torch {torch.__version__}; python {' '.join(sys.argv)}")
    if arguments.data_dir:
        print(f"{'MB, one process each':28s} {'before':>7s} {'peak':>6s} {'estimate':>9s} {'evaluated at once':>18s}")
        for name, network in NETWORKS.items():
            flat = {"task": "fashion-mnist", "training.subset": arguments.samples, **network}
            now, then = (alone(flat, arguments.data_dir, whole=whole) for whole in (False, True))
            row = f"{now['before']:7.0f} {now['peak']:6.0f} {now['estimate']:9.0f} {then['peak']:18.0f}"
            print(f"{name:28s} {row}", flush=True)
    if arguments.trials:
        growth(arguments.trials)


if __name__ == "__main__":
    main()
