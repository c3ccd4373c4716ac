"""Running a search: Ray Tune places the trials, the study decides, a listener hears of everything."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Final

from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory

from spikefront.plugins import Registry, SearchData, Task
from spikefront.runners.engine.listener import Listener, State
from spikefront.runners.engine.searcher import StudySearcher, TrialErrors, weights_file
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.engine.study import StudyRecord, create_study, objectives_of
from spikefront.runners.engine.trainable import CandidateTrainable, SharedData, WorkerSettings
from spikefront.searchspace import SearchInfo, Space, Value

_TRIES_AFTER_LOST_WORKER: Final = 1
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
    data: SearchData,
    listener: Listener,
    options: Mapping[str, Value] | None = None,
) -> SearchOutcome:
    """Search until the trials or the time are spent, or the user interrupts. Call it inside a ``RaySession``.

    Args:
        settings: how to search.
        space: what to search.
        registry: plugins, as the workers will find them too.
        data: the task's training and validation splits.
        listener: told of every event.
        options: everything the user set, for the record.

    Raises:
        UsageError: before any trial starts, when the folder is taken.
    """
    task: type[Task] = registry.get("task", space.task)
    objectives = objectives_of(task, settings)
    record = StudyRecord(create_study(settings, objectives), objectives)
    tally = _Tally(listener)
    searcher = StudySearcher(record, space, tally, settings.trials, settings.workers, settings.weights.resolve())
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
            options=options or {},
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
    weights, anns = settings.weights.resolve(), settings.anns.resolve()
    worker = WorkerSettings(settings.plugin_dirs, settings.energy_model, weights, anns)
    trainable = tune.with_parameters(CandidateTrainable, data=SharedData.of(data), settings=worker)
    resources = PlacementGroupFactory([{"CPU": 1, "GPU": settings.gpus_per_trial}])
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(settings.workers)  # or Tune starts one worker after another
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
