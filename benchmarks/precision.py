"""Cost in quality of training in bf16: the same candidates and seeds in fp32 and in bf16, side by side.

Run: python benchmarks/precision.py [--tasks digits fashion-mnist] [--seeds 0 1 2] [--data-dir DIR]
Direct coding, T = 4, LIF, convnet; digits for 15 epochs at width 16, Fashion-MNIST for 2 epochs on 4,000 samples.
Fashion-MNIST's files are read as by ``spikefront run``. Prints quality, its differences seed by seed, and seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import torch

from spikefront.plugins import load_registry
from spikefront.runners.judging.judge import judge

SETTINGS: dict[str, dict[str, object]] = {
    "digits": {"backbone.convnet.width": 16, "training.epochs": 15},
    "fashion-mnist": {"backbone.convnet.width": 16, "training.epochs": 2, "training.subset": 4000},
}
PRECISIONS = ("fp32", "bf16")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    registry = load_registry(third_parties=False)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; python {' '.join(sys.argv)}")
    for name in arguments.tasks:
        shared = {"task": name, "coding": "direct", "backbone": "convnet", "steps": 4, **SETTINGS[name]}
        task = registry.get("task", name)()
        data = task.search_data(arguments.data_dir, 4)
        quality: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        seconds = dict.fromkeys(PRECISIONS, 0.0)
        for seed in arguments.seeds:
            for precision in PRECISIONS:
                started = time.process_time()
                candidate = {**shared, "training.precision": precision, "seed": seed}
                found = judge(candidate, registry=registry, data=data)
                quality[precision].append(100 * found.metrics["quality"])
                seconds[precision] += time.process_time() - started
        for precision in PRECISIONS:
            values = ", ".join(f"{value:.2f}" for value in quality[precision])
            mean = statistics.mean(quality[precision])
            print(f"  {name:14s} {precision}  {mean:6.2f} %  ({values})  {seconds[precision]:.0f} s of a processor")
        pairs = zip(quality["bf16"], quality["fp32"], strict=True)
        differences = [reduced - full for reduced, full in pairs]
        spread = f", standard deviation {statistics.stdev(differences):.2f}" if len(differences) > 1 else ""
        print(f"  {name:14s} bf16 - fp32: {statistics.mean(differences):+.2f} points{spread}")


if __name__ == "__main__":
    main()
