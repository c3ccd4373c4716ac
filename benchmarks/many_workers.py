"""Whether one driver keeps 64 workers busy, and how many trials per second it could start at most.

Run: python benchmarks/many_workers.py [--workers 64] [--window 90]

The workers are Ray actors like any others, except that an epoch sleeps instead of training, so that 64 of them fit on
any machine. All else is what a search has: the default sampler on the whole space of digits, the journal, early
stopping, Tune with reused actors, MLflow on SQLite. Measured once every worker has ended a trial: starting 64 processes
on a few cores takes minutes, and says nothing of the driver.

Busy is the share of the window in which workers slept. The driver's processor time per trial, of the thread that
searches and the thread that writes to MLflow together, bounds the trials per second that it can sustain.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikefront.searchspace import Callbacks, State

BUSY_BOUND = 0.95
EPOCHS = 5


def sleeper(epoch_s: float, workers: int, folder: Path) -> Any:
    """Return a class of workers whose epochs take so many seconds, give or take a fifth.

    The first trial of each worker waits until all have started. Tune gives a trial that waits for a new worker to the
    next one that is free, and drops the new one; where starting takes longer than a trial, some would never start.
    """
    import random

    from ray import tune

    class Sleeper(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            (folder / str(os.getpid())).touch()
            while len(list(folder.iterdir())) < workers:
                time.sleep(0.5)
            self._begin(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._begin(new_config)
            return True

        def _begin(self, config: dict[str, Any]) -> None:
            self._flat, self._epoch = config["candidate"], 0
            self._random = random.Random(config["number"])

        def step(self) -> dict[str, Any]:
            began = time.time()
            time.sleep(epoch_s * self._random.uniform(0.8, 1.2))
            self._epoch += 1
            steps, width = float(self._flat.get("steps", 4)), self._random.uniform(8, 64)
            quality = 0.95 - 0.3 / steps - 2 / width
            metrics = {"quality": quality, "energy_nj": steps * width, "latency_steps": steps, "spike_rate": 0.1}
            metrics |= {"loss": 0.5, "seconds": epoch_s, "began": began, "ended": time.time(), "pid": os.getpid()}
            return {"epoch": self._epoch, "metrics": metrics, "done": self._epoch >= self._flat["training.epochs"]}

        def save_checkpoint(self, checkpoint_dir: str) -> None: ...
        def load_checkpoint(self, checkpoint: Any) -> None: ...

    return Sleeper


class Watch(Callbacks):
    """Times when workers slept, and the driver's processor time at each trial's end."""

    def __init__(self, workers: int, window_s: float) -> None:
        self._workers = workers
        self._window_s = window_s
        self._slept: list[tuple[float, float]] = []
        self._ends: list[tuple[float, float]] = []
        self._pids: set[float] = set()
        self._over = False
        self._longest_s = 0.0  # of an epoch: those that were under way when the window closed have to be heard of
        self._started = 0.0
        self.opened = 0.0  # when every worker had ended a trial

    def search_started(self, search: Any) -> None:
        self._started = time.time()

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self._slept.append((metrics["began"], metrics["ended"]))
        self._longest_s = max(self._longest_s, metrics["ended"] - metrics["began"])

    def trial_ended(self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Any) -> None:
        self._ends.append((time.time(), time.process_time()))
        if self._over:
            return
        if state == "FAIL":
            raise SystemExit(f"trial {number} failed: {reason}")  # a worker that sleeps can't
        self._pids.add(metrics["pid"])
        if not self.opened and len(self._pids) >= self._workers:
            self.opened = time.time()
            print(f"  {len(self._pids)} workers after {self.opened - self._started:.0f} s", flush=True)
        if self.opened and time.time() > self.opened + self._window_s + self._longest_s:
            self._over = True
            signal.raise_signal(signal.SIGINT)  # as a user ends a search

    def figures(self) -> dict[str, float]:
        """Return the share of time that workers slept, trials per second and the driver's seconds per trial."""
        opened, closed = self.opened, self.opened + self._window_s
        slept = sum(max(0.0, min(ended, closed) - max(began, opened)) for began, ended in self._slept)
        inside = [end for end in self._ends if opened <= end[0] <= closed]
        return {
            "busy": slept / self._workers / self._window_s,
            "per_s": len(inside) / self._window_s,
            "cpu_s": (inside[-1][1] - inside[0][1]) / (len(inside) - 1),
        }


def measure(workers: int, epoch_s: float, window_s: float) -> dict[str, float]:
    """Search with workers that sleep, until the window is over."""
    from spikefront.plugins import load_registry
    from spikefront.results.store.connection import Store
    from spikefront.results.store.recorder import MlflowRecorder
    from spikefront.runners.engine import search
    from spikefront.runners.engine.placing.data import share
    from spikefront.runners.engine.placing.session import RaySession
    from spikefront.runners.engine.plan import SearchPlan
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.searchspace import CallbackList

    watch = Watch(workers, window_s)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        started = Path(folder) / "started"
        started.mkdir()
        search.trainable_for = lambda plan, data: sleeper(epoch_s, workers, started)
        settings = SearchSettings("digits", name="bench", folder=folder, trials=100_000, workers=workers, epochs=EPOCHS)
        plan = SearchPlan(settings, load_registry(third_parties=False))
        os.chdir(folder)
        try:
            with RaySession(settings) as session:
                session.wait()
                recorder = MlflowRecorder(Store(f"sqlite:///{folder}/mlflow.db"))
                shared = share(plan.read_data(), type(plan.task))
                search.SearchRun(plan).execute(shared, CallbackList(watch, recorder))
        finally:
            os.chdir(here)
    return watch.figures()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--epoch", type=float, default=9.0, help=f"seconds of one of a trial's {EPOCHS} epochs")
    parser.add_argument("--window", type=float, default=90.0, help="seconds measured, once all workers have started")
    parser.add_argument("--json", action="store_true", help="print the figures alone")
    arguments = parser.parse_args()
    print(f"many workers: {arguments.workers} that sleep {arguments.epoch:g} s per epoch", flush=True)
    found = measure(arguments.workers, arguments.epoch, arguments.window)
    if arguments.json:
        print(json.dumps(found))
    busy, most = 100 * found["busy"], 1 / found["cpu_s"]
    print(f"  busy {busy:.1f} % (bound {100 * BUSY_BOUND:.0f} %) at {found['per_s']:.2f} trials per second")
    print(f"  driver: {1000 * found['cpu_s']:.0f} ms of processor per trial, so at most {most:.1f} trials per second")


if __name__ == "__main__":
    main()
