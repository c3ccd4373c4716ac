"""Running a search: Ray Tune places the trials, the study decides, a listener hears of everything."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import optuna
import ray
from ray import tune
from ray.air.execution._internal import RayActorManager

from spikefront.plugins import Registry, SearchData, Task
from spikefront.runners.engine.halving import HalvingScheduler, RungRecord, Rungs, rung_shares
from spikefront.runners.engine.memory.journal import DriverLock
from spikefront.runners.engine.memory.study import StudyRecord, create_study, objectives_of, reopen_study, spent_s
from spikefront.runners.engine.placing.bridge import EarlyStopping, StudySearcher, TrialErrors
from spikefront.runners.engine.placing.files import checkpoint_file, keep_weights_of, weights_file
from spikefront.runners.engine.placing.nodes import check_cluster, expected_on_nodes
from spikefront.runners.engine.placing.process_group import Team, trial_resources
from spikefront.runners.engine.placing.worker import CandidateTrainable, WorkerSettings
from spikefront.runners.engine.proposing.affordable import ThriftySampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.counting_process import CountingProcess
from spikefront.runners.engine.proposing.start import first_answers
from spikefront.runners.engine.settings import SearchSettings, refuse_taken
from spikefront.searchspace import (
    EarlierTrial,
    Listener,
    Objective,
    SearchInfo,
    Space,
    State,
    UsageError,
    Value,
    from_flat,
)

_TRIES_AFTER_LOST_WORKER: Final = 1
_TUNE_FOLDER: Final = "tune"  # Tune's own record, which nobody reads


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """How a search ended.

    Attributes:
        states: number of trials by state, of those that ended now.
        judged: trials judged at full budget, of the whole search: also before it was resumed.
        reason: why it ended.
        seconds: how long it took.
        finished: whether all that was asked for was done.
    """

    states: dict[State, int]
    judged: int
    reason: str
    seconds: float
    finished: bool


def run_search(
    settings: SearchSettings,
    space: Space,
    registry: Registry,
    data: ray.ObjectRef[Any],
    listener: Listener,
    options: Mapping[str, Value] | None = None,
    about: Mapping[str, Any] | None = None,
    counting: CountingProcess | None = None,
) -> SearchOutcome:
    """Search until the trials or the time are spent, or the user interrupts. Call it inside a ``RaySession``.

    Args:
        settings: how to search, and whether to go on with a search that was begun before.
        space: what to search.
        registry: plugins, as the workers will find them too.
        data: the task's splits, as ``share`` put them into Ray's object store.
        listener: told of every event.
        options: everything the user set, for the record.
        about: what to keep in the journal of a new search, for resuming it.
        counting: counts what candidates cost, for a search that is ``cost_aware``; None for one that is blind.

    Raises:
        UsageError: before any trial starts, when the folder is taken, or another driver runs the search.
    """
    started = time.monotonic()
    lock = _lock(settings)
    try:
        check_cluster(settings)
        seen: SearchData = ray.get(data).data_for(space.default(), registry)
        task: type[Task] = registry.get("task", space.task)
        objectives = objectives_of(task, settings)
        cost = None
        if counting is not None:
            counting.tell(seen)
            cost = CostModel(counting)
        first = [] if settings.resume else first_answers(settings, space, cost)
        record = StudyRecord(_study(settings, objectives, about), objectives, settings.limits, settings.tell_stopped)
        earlier = None
        if settings.resume:
            record.take_up()
            earlier = _with_weights(record.earlier, settings.weights)
            if cost is not None:
                cost.remember((from_flat(flat, registry), past) for flat, past in record.costs(cost.remembered))
        record.begin_with(first)
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
            earlier=earlier,
            energy_model=settings.energy_model,
        )
        stopping = _early_stopping(settings, record, task(), seen) if settings.early_stopping else None
        return _run(settings, space, data, record, info, listener, stopping, cost, started)
    finally:
        lock.release()


def _lock(settings: SearchSettings) -> DriverLock:
    if not settings.resume:
        refuse_taken(settings)
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--folder {settings.folder.parent}: {error.strerror}; choose another") from error
    return DriverLock(settings.folder)


def _study(
    settings: SearchSettings, objectives: tuple[Objective, ...], about: Mapping[str, Any] | None
) -> optuna.Study:
    return reopen_study(settings) if settings.resume else create_study(settings, objectives, about)


def _run(
    settings: SearchSettings,
    space: Space,
    data: ray.ObjectRef[Any],
    record: StudyRecord,
    info: SearchInfo,
    listener: Listener,
    stopping: EarlyStopping | None,
    cost: CostModel | None,
    started: float,
) -> SearchOutcome:
    tally = _Tally(listener)
    end = EndOfSearch(None if settings.time_s is None else settings.time_s - spent_s(record.study))
    left, weights = trials_left(settings, info), settings.weights.resolve()
    searcher = StudySearcher(
        record, space, tally, left, settings.workers, weights, end.end, stopping, cost, settings.target_hypervolume
    )
    if cost is not None:
        record.study.sampler = ThriftySampler(
            record.study.sampler,
            space,
            cost,
            room_s=lambda: min(end.left_s(), searcher.others_s()),
            seed=settings.seed,
        )
    listener.search_started(info)
    try:
        searcher.end_if_reached()
        # what Ray writes about dead workers
        with (settings.folder / "ray.log").open("a") as log, redirect_stdout(log), end.on_interrupt():
            _tune(settings, searcher, data, end)
    finally:
        searcher.end_all("PRUNED" if end.reason else "FAIL", end.reason or "the search broke off")
        keep_weights_of(settings.weights, record.front)
        _tidy_checkpoints(settings)
        shutil.rmtree(settings.folder / _TUNE_FOLDER, ignore_errors=True)
        listener.search_ended(end.reason or "all trials done")
    return SearchOutcome(
        dict(tally.states),
        record.judged,
        end.reason or "all trials done",
        time.monotonic() - started,
        finished=not end.reason or searcher.reached,
    )


def _early_stopping(settings: SearchSettings, record: StudyRecord, task: Task, data: SearchData) -> EarlyStopping:
    rungs = Rungs(
        record.objectives,
        rung_shares(reduction=settings.reduction) if settings.rungs is None else settings.rungs,
        settings.reduction,
    )
    rungs.restore(cast(list[RungRecord], record.rungs()))
    return EarlyStopping(rungs, task.chance_quality(data), task.best_quality)


def _with_weights(trials: Iterable[EarlierTrial], folder: Path) -> tuple[EarlierTrial, ...]:
    """Say where the weights of trials are that an earlier driver may have left unrecorded."""
    files = ((trial, weights_file(folder, trial.number)) for trial in trials)
    return tuple(replace(trial, weights=file) if file.exists() else trial for trial, file in files)


def trials_left(settings: SearchSettings, info: SearchInfo) -> int | None:
    """Return how many trials of the budget are left, of which those that are judged again count once."""
    if settings.trials is None:
        return None
    return max(0, settings.trials - sum(not trial.again for trial in info.earlier or ()))


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

    def end(self, reason: str) -> None:
        """End the search."""
        self.reason = self.reason or reason

    def left_s(self) -> float:
        """Return the seconds until the time is up; infinite where it is not limited."""
        return self._deadline - time.monotonic()

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


def trainable_for(settings: SearchSettings, data: ray.ObjectRef[Any]) -> Any:
    """Return what Tune runs on each worker."""
    weights, anns = settings.weights.resolve(), settings.anns.resolve()
    gpus = settings.gpus_per_trial
    worker = WorkerSettings(
        settings.plugin_dirs,
        settings.energy_model,
        weights,
        anns,
        epoch_timeout_s=settings.epoch_timeout_s,
        team=Team(int(gpus), data, settings.plugin_dirs, settings.energy_model) if gpus > 1 else None,
        expected=expected_on_nodes(settings),
    )
    return tune.with_parameters(CandidateTrainable, data=data, settings=worker)


def _tune(settings: SearchSettings, searcher: StudySearcher, data: ray.ObjectRef[Any], end: EndOfSearch) -> None:
    trainable = trainable_for(settings, data)
    resources = trial_resources(settings.gpus_per_trial)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(settings.workers)  # or Tune starts one worker after another
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=HalvingScheduler(searcher.decide) if settings.early_stopping else None,
            num_samples=-1,  # the searcher knows when it is done
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
    with _memory_kills_are_lost_workers():
        tuner.fit()


@contextmanager
def _memory_kills_are_lost_workers() -> Iterator[None]:
    """Let Tune take a worker that Ray killed for its memory for a lost one; at Ray 2.60 it would end the search."""
    theirs = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        killed = isinstance(exception, ray.exceptions.OutOfMemoryError)
        lost = ray.exceptions.RayActorError(error_msg=str(exception)) if killed else exception
        theirs(self, tracked_actor_task, lost)

    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = theirs  # type: ignore[method-assign]


def _tidy_checkpoints(settings: SearchSettings) -> None:
    """Delete what killed workers left half-written; what is whole is of trials that a resumed search goes on with."""
    folder = checkpoint_file(settings.weights, 0).parent
    for path in folder.glob("*.part"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty, or was never made
        folder.rmdir()


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
