"""What the engine costs: time from the command to the first trial, per trial, and in MLflow per trial.

Run: python benchmarks/engine_overhead.py [--trials 1000] [--workers 2]

Beside the start of a search, in turns, stands that of bare Ray Tune: a script that starts Ray without a dashboard, and
one actor for each of two trials, which does nothing but import torch. No search by Ray Tune starts sooner but by what
it imports and starts less.
The candidates are as small as they get (one epoch, 32 samples), so what is measured is Ray Tune, Optuna, the journal
and MLflow. The bound is the same candidates judged one after another in a plain loop in one process. Overhead is wall
time per trial without judging; it is also given for the first and the last hundred trials, between which it should not
grow.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefront.searchspace import Callbacks, State

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
BARE_TUNE = """
import pathlib, time
import ray
from ray import tune

ray.init("local", num_cpus=2, include_dashboard=False, logging_level="error")

class Trainable(tune.Trainable):
    def setup(self, config):
        import torch
        pathlib.Path(FOLDER, f"{config['number']}.stamp").write_text(repr(time.time()))

    def step(self):
        return {"done": True}

space = {"number": tune.grid_search([0, 1])}
tune.Tuner(Trainable, param_space=space, run_config=tune.RunConfig(storage_path=FOLDER, verbose=0)).fit()
"""
BOUND_S = 0.25
HUNDRED, WARM = 100, 20
SMALL = ("backbone=mlp", "backbone.mlp.width=16", "coding=direct", "training.epochs=1", "training.subset=32")


def seconds_to_first_trial() -> float:
    """Return the seconds from starting the command until a worker builds the first candidate."""
    with tempfile.TemporaryDirectory() as folder:
        plugins = Path(folder) / "plugins"
        plugins.mkdir()
        (plugins / "stamp.py").write_text(STAMP_PLUGIN)
        command = [sys.executable, "-m", "spikefront", "run", "--task", "digits", "--trials", "2", "--epochs", "1"]
        command += ["--set", "coding=stamp", "--plugins-dir", str(plugins), "--workers", "2"]
        started = time.time()
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        return float((plugins / "stamp.stamp").read_text()) - started


def seconds_of_bare_tune() -> float:
    """Return the seconds from starting a script of bare Ray Tune until an actor has imported torch."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bare.py"
        # its actors run in other folders, and know no arguments
        script.write_text(BARE_TUNE.replace("FOLDER", repr(folder)))
        started = time.time()
        subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, check=True)
        return min(float(stamp.read_text()) for stamp in Path(folder).glob("*.stamp")) - started


def described(seconds: Sequence[float]) -> str:
    """Return median, number and range of times."""
    ordered = sorted(seconds)
    return f"{statistics.median(ordered):.1f} s (median of {len(ordered)}, {ordered[0]:.1f}-{ordered[-1]:.1f})"


class Clock(Callbacks):
    """Times when trials ended and how long their evaluation took."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.judged: list[float] = []

    def trial_ended(self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Any) -> None:
        self.ends.append(time.perf_counter())
        self.judged.append(metrics.get("seconds", 0.0))


@dataclass(frozen=True)
class PerTrial:
    """Seconds per trial over a stretch of a search: of the wall clock, and of judging divided by the workers."""

    wall: float
    judging: float

    @property
    def overhead(self) -> float:
        """What is not judging."""
        return self.wall - self.judging


def stretch(clock: Clock, workers: int, first: int, last: int) -> PerTrial:
    """Average over the trials that ended as number ``first`` to ``last``."""
    wall = (clock.ends[last] - clock.ends[first]) / (last - first)
    judged = clock.judged[first + 1 : last + 1]
    return PerTrial(wall, sum(judged) / len(judged) / workers)


def search_clock(trials: int, workers: int, with_mlflow: bool) -> Clock:
    """Search, and return when each trial ended."""
    from spikefront.plugins import load_registry
    from spikefront.results.store.connection import Store
    from spikefront.results.store.recorder import MlflowRecorder
    from spikefront.runners.engine.placing.data import share
    from spikefront.runners.engine.placing.session import RaySession
    from spikefront.runners.engine.plan import SearchPlan
    from spikefront.runners.engine.search import SearchRun
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.searchspace import CallbackList

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = SearchSettings("digits", name="bench", folder=folder, trials=trials, workers=workers, space=SMALL)
        plan = SearchPlan(settings, load_registry(third_parties=False))
        callbacks = [clock, MlflowRecorder(Store(f"sqlite:///{folder}/mlflow.db"))] if with_mlflow else [clock]
        here = os.getcwd()
        os.chdir(folder)
        try:
            with RaySession(settings) as session:
                session.wait()
                shared = share(plan.read_data(), type(plan.task))
                SearchRun(plan).execute(shared, CallbackList(*callbacks))
        finally:
            os.chdir(here)
    return clock


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


def report(trials: int, workers: int, with_mlflow: bool) -> None:
    """Measure a search and print its overhead."""
    name = "with MLflow on SQLite" if with_mlflow else "without MLflow"
    print(f"per trial, {trials} trials, {workers} workers, {name}:", flush=True)
    clock = search_clock(trials, workers, with_mlflow)
    warm, end = min(WARM, trials // 10), trials - 1  # the first trials start actors
    found = stretch(clock, workers, warm, end)
    print(
        f"  {found.wall:.3f} s wall, of which judging {found.judging:.3f} s: "
        f"overhead {found.overhead:.3f} s (bound {BOUND_S} s)",
        flush=True,
    )
    if trials >= 3 * HUNDRED:
        first, last = stretch(clock, workers, warm, warm + HUNDRED), stretch(clock, workers, end - HUNDRED, end)
        print(f"  overhead of the first hundred {first.overhead:.3f} s, of the last {last.overhead:.3f} s", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="with MLflow; a tenth of it is run without")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--starts", type=int, default=3, help="how often the start is measured")
    arguments = parser.parse_args()
    starts = [(seconds_to_first_trial(), seconds_of_bare_tune()) for _ in range(arguments.starts)]
    ours, bare = zip(*starts, strict=True)
    print(f"command to first trial: {described(ours)}, aimed at 2.5 s", flush=True)
    share = statistics.median(ours) / statistics.median(bare)
    print(f"bare Ray Tune to its first trial: {described(bare)}; ours takes {share:.2f} of it", flush=True)
    few = max(20, arguments.trials // 10)
    print(f"plain loop in one process: {plain_loop(few):.3f} s per trial", flush=True)
    report(few, arguments.workers, with_mlflow=False)
    report(arguments.trials, arguments.workers, with_mlflow=True)


if __name__ == "__main__":
    main()
