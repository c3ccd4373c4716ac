"""What the engine costs: time from the command to the first trial, per trial, and in MLflow per trial.

Run: python benchmarks/engine_overhead.py [--trials 100] [--workers 2]

The candidates are as small as they get (one epoch, 32 samples), so what is measured is Ray Tune, Optuna, the journal
and MLflow. The bound is the same candidates judged one after another in a plain loop in one process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STAMP_PLUGIN = '''
import pathlib, time
from spikefront.plugins import Coding, hookimpl

class Stamp(Coding):
    """Writes down when a worker builds the first candidate."""
    name = "stamp"
    def __init__(self, config=None, *, steps):
        super().__init__(config, steps=steps)
        path = pathlib.Path(__file__).with_suffix(".stamp")
        if not path.exists():
            path.write_text(repr(time.time()))

@hookimpl
def register_codings(register):
    register(Stamp)
'''
SMALL = ("backbone=mlp", "backbone.mlp.width=16", "coding=direct", "training.epochs=1", "training.subset=32")


def seconds_to_first_trial() -> float:
    """Return the seconds from starting the command until a worker builds the first candidate."""
    with tempfile.TemporaryDirectory() as folder:
        plugins = Path(folder) / "plugins"
        plugins.mkdir()
        (plugins / "stamp.py").write_text(STAMP_PLUGIN)
        command = [
            sys.executable,
            "-m",
            "spikefront.search",
            "run",
            "--task",
            "digits",
            "--trials",
            "2",
            "--epochs",
            "1",
        ]
        command += ["--set", "coding=stamp", "--plugins-dir", str(plugins), "--workers", "2"]
        started = time.time()
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        return float((plugins / "stamp.stamp").read_text()) - started


class Clock:
    """A listener that notes when trials end and how long their judging took."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.judged: list[float] = []

    def search_started(self, search: Any) -> None: ...
    def trial_started(self, number: int, candidate: Any) -> None: ...
    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None: ...
    def search_ended(self, reason: str) -> None: ...

    def trial_ended(self, number: int, state: str, reason: str, metrics: Mapping[str, float], weights: Any) -> None:
        self.ends.append(time.perf_counter())
        self.judged.append(metrics["seconds"])


def per_trial(trials: int, workers: int, with_mlflow: bool) -> tuple[float, float]:
    """Return wall seconds per trial in steady state, and judging seconds per trial divided by the workers."""
    from spikefront.plugins import load_registry
    from spikefront.results.listeners import Listeners
    from spikefront.results.store import MlflowStore
    from spikefront.runners.engine.search import run_search
    from spikefront.runners.engine.session import RaySession
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.searchspace import Space, parse_set

    registry = load_registry(third_parties=False)
    space = Space(registry, "digits", [parse_set(text) for text in SMALL])
    data = registry.get("task", "digits")().search_data(None, 1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = SearchSettings("bench", Path(folder) / "bench", trials=trials, workers=workers)
        listeners = [clock, MlflowStore(tracking_uri=f"sqlite:///{folder}/mlflow.db")] if with_mlflow else [clock]
        here = os.getcwd()
        os.chdir(folder)
        try:
            with RaySession(settings) as session:
                session.wait()
                run_search(settings, space, registry, data, Listeners(*listeners))
        finally:
            os.chdir(here)
    warm = trials // 10  # the first trials start actors
    wall = (clock.ends[-1] - clock.ends[warm]) / (len(clock.ends) - 1 - warm)
    return wall, sum(clock.judged) / len(clock.judged) / workers


def plain_loop(trials: int) -> float:
    """Return wall seconds per trial of the same candidates in one process."""
    import optuna

    from spikefront.plugins import load_registry
    from spikefront.runners.judging.judge import judge
    from spikefront.searchspace import Space, parse_set

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    registry = load_registry(third_parties=False)
    space = Space(registry, "digits", [parse_set(text) for text in SMALL])
    data = registry.get("task", "digits")().search_data(None, 1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    candidates = [space.suggest(study.ask()) for _ in range(trials)]
    judge(candidates[0], registry=registry, data=data)
    started = time.perf_counter()
    for candidate in candidates:
        judge(candidate, registry=registry, data=data)
    return (time.perf_counter() - started) / trials


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    firsts = sorted(seconds_to_first_trial() for _ in range(3))
    print(f"command to first trial: {firsts[1]:.1f} s (median of 3, {firsts[0]:.1f}-{firsts[2]:.1f}; bound 8 s)")
    loop = plain_loop(arguments.trials)
    for with_mlflow in (False, True):
        wall, judging = per_trial(arguments.trials, arguments.workers, with_mlflow)
        name = "with MLflow" if with_mlflow else "without MLflow"
        print(
            f"per trial, {arguments.workers} workers, {name}: {wall:.3f} s wall, of which judging {judging:.3f} s: "
            f"overhead {wall - judging:.3f} s (bound 0.25 s); plain loop in one process {loop:.3f} s"
        )


if __name__ == "__main__":
    main()
