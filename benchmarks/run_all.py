"""Run all benchmarks and print their figures, with the machine that they were taken on.

Run: python benchmarks/run_all.py [--only sampler.py resume.py]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
HELP_BOUND_S = 0.2
SCRIPTS = (
    "training_step.py",
    "neuron.py",
    "sampler.py",
    "engine_overhead.py",
    "mlflow_store.py",
    "resume.py",
    "many_workers.py",
    "queries.py",
    "soundness.py",
    "memory.py",
)


def seconds_for_help() -> float:
    """Return the median seconds of ``spikefront --help``."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "spikefront.search", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="SCRIPT", help=", ".join(SCRIPTS)
    )
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load:.1f}")
    print(f"spikefront --help: {seconds_for_help():.2f} s (median of 7; bound {HELP_BOUND_S} s)", flush=True)
    for script in arguments.only:
        started = time.perf_counter()
        print(f"\n{script}, load {os.getloadavg()[0]:.1f}", flush=True)
        subprocess.run([sys.executable, str(HERE / script)], check=True)
        print(f"{script} took {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
