"""Running a search: Ray Tune places the trials, the study decides, a listener hears of everything."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Final, Self

import ray
from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory

from spikefront.plugins import Registry, SearchData, Task
from spikefront.runners.engine.environment import DRIVER_ENVIRONMENT, WORKER_ENVIRONMENT
from spikefront.runners.engine.listener import Listener, State
from spikefront.runners.engine.searcher import StudySearcher, TrialErrors, weights_file
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.engine.study import StudyRecord, create_study, objectives_of
from spikefront.runners.engine.trainable import CandidateTrainable, SharedData, WorkerSettings
from spikefront.searchspace import SearchInfo, Space, UsageError, Value

_TRIES_AFTER_LOST_WORKER: Final = 1
_CONNECT_TIMEOUT_S: Final = 5.0
_TUNE_FOLDER: Final = "tune"  # Tune's own record, which nobody reads


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
    load: Callable[[], SearchData],
    listener: Listener,
    options: Mapping[str, Value] | None = None,
) -> SearchOutcome:
    """Search until the trials or the time are spent, or the user interrupts.

    Args:
        settings: how to search.
        space: what to search.
        registry: plugins, as the workers will find them too.
        load: reads the task's training and validation splits; called while Ray starts.
        listener: told of every event.
        options: everything the user set, for the record.

    Raises:
        UsageError: before any trial starts, when the folder is taken, data are missing or the cluster can't be joined.
    """
    check_address(settings.address)
    if settings.journal.exists():
        raise UsageError(f"a search named {settings.name!r} is already in {settings.folder}; choose another --name")
    with RaySession(settings) as session:
        data = load()
        session.wait()
        return _search(settings, space, registry, data, listener, options or {})


def _search(
    settings: SearchSettings,
    space: Space,
    registry: Registry,
    data: SearchData,
    listener: Listener,
    options: Mapping[str, Value],
) -> SearchOutcome:
    task: type[Task] = registry.get("task", space.task)
    objectives = objectives_of(task, settings)
    record = StudyRecord(create_study(settings, objectives), objectives)
    tally = _Tally(listener)
    searcher = StudySearcher(record, space, tally, settings.trials, settings.weights.resolve())
    end = EndOfSearch(settings.time_s)
    started = time.monotonic()
    listener.search_started(
        SearchInfo(
            name=settings.name,
            task=space.task,
            quality=task.quality,
            objectives=objectives,
            folder=settings.folder,
            trials=settings.trials,
            time_s=settings.time_s,
            options=options,
            plugins=registry.versions(),
        )
    )
    try:
        # Ray writes about dead workers to stdout, which is for results
        with (settings.folder / "ray.log").open("a") as log, redirect_stdout(log), end.on_interrupt():
            _tune(settings, searcher, data, end)
    finally:
        searcher.end_all("PRUNED" if end.reason else "FAIL", end.reason or "the search broke off")
        _keep_front_weights(settings, record)
        shutil.rmtree(settings.folder / _TUNE_FOLDER, ignore_errors=True)
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
            name=_TUNE_FOLDER,
            storage_path=str(settings.folder.resolve()),
            failure_config=tune.FailureConfig(max_failures=_TRIES_AFTER_LOST_WORKER),
            callbacks=[TrialErrors(searcher.fail)],
            stop=end,
            verbose=0,
        ),
    )
    tuner.fit()


def check_address(address: str | None) -> None:
    """Find out in seconds whether a cluster answers; Ray itself would try for minutes.

    Raises:
        UsageError: when nothing listens there, or the address is none.
    """
    if address is None or address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise UsageError(f"--address {address!r} must read HOST:PORT (Ray's is 6379 unless set), or auto")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"--address {address}: no Ray cluster answers ({reason}); start one with: ray start --head"
        ) from error


class RaySession:
    """Ray on this machine, or a joined cluster, for as long as the context lasts.

    It starts in the background, since that takes seconds which the driver can use; ``wait`` before using it.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ray-start")

    def __enter__(self) -> Self:
        os.environ.update(DRIVER_ENVIRONMENT)
        for name in ("ray", "ray.tune", "ray.train", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # each failure is told, once, with its reason
        self._started = self._executor.submit(self._start)
        return self

    def _start(self) -> None:
        common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self._settings.address is not None:
            ray.init(address=self._settings.address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **common)
            return
        os.environ.update(WORKER_ENVIRONMENT)  # inherited, so that the workers Ray starts ahead of need can be used
        gpus = None if self._settings.gpus_per_trial else 0
        # "local": a stale address in Ray's temporary folder must not make it look for a cluster
        ray.init(address="local", num_cpus=self._settings.workers, num_gpus=gpus, include_dashboard=False, **common)

    def wait(self) -> None:
        """Return when Ray is ready.

        Raises:
            UsageError: when it did not start, or the cluster does not answer.
        """
        try:
            self._started.result()
        except (OSError, RuntimeError, ValueError) as error:
            where = self._settings.address or "this machine"
            raise UsageError(f"Ray did not start on {where}: {' '.join(str(error).split())}") from error

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown()
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
