"""Running a search: Ray Tune places the trials, the study decides, a listener hears of everything."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory

from spikefront.plugins import Registry, SearchData, Task
from spikefront.runners.engine.listener import Listener, State
from spikefront.runners.engine.searcher import StudySearcher, TrialErrors, weights_file
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.engine.study import StudyRecord, create_study, objectives_of
from spikefront.runners.engine.trainable import CandidateTrainable, SharedData, WorkerSettings
from spikefront.searchspace import SearchInfo, Space, UsageError, Value

WORKER_ENVIRONMENT: Final = {
    # glibc returns freed activations of 10 to 25 MB to the kernel at every step; kept, a training step is up to twice as fast
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
    "OMP_WAIT_POLICY": "PASSIVE",
}
_DRIVER_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow is the record; no CSV, JSON and TensorBoard files per trial
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a missing metric is one failed trial, not the end of the search
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # EndOfSearch handles Ctrl-C, and can say so
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own snapshot is never read
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
_TRIES_AFTER_LOST_WORKER: Final = 1


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """How a search ended.

    Attributes:
        states: number of trials by state.
        reason: why it ended.
        seconds: how long it took.
    """

    states: dict[State, int]
    reason: str
    seconds: float


def run_search(
    settings: SearchSettings,
    space: Space,
    registry: Registry,
    data: SearchData,
    listener: Listener,
    options: dict[str, Value] | None = None,
) -> SearchOutcome:
    """Search until the trials or the time are spent, or the user interrupts.

    Args:
        settings: how to search.
        space: what to search.
        registry: plugins, as the workers will find them too.
        data: the task's training and validation splits.
        listener: told of every event.
        options: everything the user set, for the record.

    Raises:
        UsageError: before any trial starts, when the folder is taken or the cluster can't be joined.
    """
    task: type[Task] = registry.get("task", space.task)
    objectives = objectives_of(task, settings)
    record = StudyRecord(create_study(settings, objectives), objectives)
    tally = _Tally(listener)
    end = EndOfSearch(settings.time_s)
    weights = settings.weights.resolve()
    searcher = StudySearcher(record, space, tally, settings.trials, weights, lambda: end.reason or "stopped")
    info = SearchInfo(
        name=settings.name,
        task=space.task,
        quality=task.quality,
        objectives=objectives,
        folder=settings.folder,
        trials=settings.trials,
        time_s=settings.time_s,
        options=options or {},
        plugins=registry.versions(),
    )
    started = time.monotonic()
    listener.search_started(info)
    try:
        with ray_session(settings), end.on_interrupt():
            _tune(settings, searcher, data, end)
    finally:
        searcher.end_all(end.reason or "the search broke off")
        _keep_front_weights(settings, record)
        listener.search_ended(end.reason or "all trials done")
    return SearchOutcome(dict(tally.states), end.reason or "all trials done", time.monotonic() - started)


class EndOfSearch(tune.Stopper):
    """Ends a search when its time is up or at the first Ctrl-C; a second Ctrl-C kills it.

    Attributes:
        reason: why the search was ended early; empty while it was not.
    """

    def __init__(self, time_s: float | None) -> None:
        self._deadline = math.inf if time_s is None else time.monotonic() + time_s
        self.reason = ""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if not self.reason and time.monotonic() >= self._deadline:
            self.reason = "time is up"
        return bool(self.reason)

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Take over Ctrl-C inside."""
        before = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: object) -> None:
            self.reason = "interrupted"
            signal.signal(signal.SIGINT, before)

        if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
            yield
            return
        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _tune(settings: SearchSettings, searcher: StudySearcher, data: SearchData, end: EndOfSearch) -> None:
    worker = WorkerSettings(settings.plugin_dirs, settings.energy_model, settings.weights.resolve())
    trainable = tune.with_parameters(CandidateTrainable, data=SharedData.of(data), settings=worker)
    resources = PlacementGroupFactory([{"CPU": 1, "GPU": settings.gpus_per_trial}])
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1 if settings.trials is None else settings.trials,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"trial-{trial.config['number']:05d}",
            trial_dirname_creator=lambda trial: f"trial-{trial.config['number']:05d}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(settings.folder.resolve()),
            failure_config=tune.FailureConfig(max_failures=_TRIES_AFTER_LOST_WORKER),
            callbacks=[TrialErrors(searcher.fail)],
            stop=end,
            verbose=0,
        ),
    )
    tuner.fit()


@contextmanager
def ray_session(settings: SearchSettings) -> Iterator[None]:
    """Start Ray on this machine, or join a cluster, and leave it afterwards.

    Raises:
        UsageError: when the cluster does not answer.
    """
    os.environ.update(_DRIVER_ENVIRONMENT)
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": False}
    try:
        if settings.address is None:
            gpus = None if settings.gpus_per_trial else 0
            os.environ.update(WORKER_ENVIRONMENT)  # inherited, so that the workers Ray starts ahead of need can be used
            ray.init(address="local", num_cpus=settings.workers, num_gpus=gpus, include_dashboard=False, **common)
        else:
            ray.init(address=settings.address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **common)
    except (ConnectionError, TimeoutError, ValueError) as error:
        where = settings.address or "this machine"
        raise UsageError(f"Ray did not start on {where}: {' '.join(str(error).split())}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _keep_front_weights(settings: SearchSettings, record: StudyRecord) -> None:
    """Delete the weights of all trials that are not on the front."""
    front = {weights_file(settings.weights, trial.number).name for trial in record.study.best_trials}
    for path in settings.weights.glob("trial-*.pt"):
        if path.name not in front:
            path.unlink()


class _Tally:
    """Passes events on and counts how the trials ended."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.states: Counter[State] = Counter()
        self.search_started = listener.search_started
        self.trial_started = listener.trial_started
        self.epoch_ended = listener.epoch_ended
        self.search_ended = listener.search_ended

    def trial_ended(self, number: int, state: State, *args: Any) -> None:
        self.states[state] += 1
        self._listener.trial_ended(number, state, *args)

