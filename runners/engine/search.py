"""A search: Ray Tune places its trials, the study proposes and stores them, callbacks receive every event."""

from __future__ import annotations

import math
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import ray
from ray import tune

from spikefront.plugins import ArrayTask, Registry, SearchData, Task, load_registry
from spikefront.runners.engine.compat import lost_workers
from spikefront.runners.engine.memory.journal import DriverLock, read_attributes
from spikefront.runners.engine.memory.resume import about, refuse_changed
from spikefront.runners.engine.memory.study import StudyRecord, create_study, reopen_study, spent_s
from spikefront.runners.engine.parts import (
    make_rules,
    make_sampler,
    objectives_of,
    refuse_unused,
    rungs_of,
    split_narrowings,
)
from spikefront.runners.engine.placing.bridge import HalvingScheduler, StudySearcher, TrialErrors
from spikefront.runners.engine.placing.files import checkpoint_file, keep_weights_of, weights_file
from spikefront.runners.engine.placing.nodes import check_cluster, expected_on_nodes
from spikefront.runners.engine.placing.process_group import GroupConfig, trial_resources
from spikefront.runners.engine.placing.session import environment
from spikefront.runners.engine.placing.worker import CandidateTrainable, WorkerSettings
from spikefront.runners.engine.proposing.affordable import AffordableSampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.counting_process import CountingProcess
from spikefront.runners.engine.proposing.start import check_start, first_answers
from spikefront.runners.engine.settings import SearchSettings, check_folder, refuse_taken
from spikefront.runners.judging.augmentation import refuse_misfit
from spikefront.searchspace import Callbacks, SearchInfo, Space, State, Trial, from_flat

_TRIES_AFTER_LOST_WORKER: Final = 1
_TUNE_FOLDER: Final = "tune"  # Tune's own record, which is never read


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """How a search ended.

    Attributes:
        states: number of trials by state, of those that ended now.
        judged: trials evaluated at full budget, of the whole search: also before it was resumed.
        reason: why it ended.
        seconds: how long it took.
        finished: whether all that was asked for was done.
    """

    states: dict[State, int]
    judged: int
    reason: str
    seconds: float
    finished: bool


class SearchRun:
    """One run of a search: prepare (the constructor), start, loop, finish.

    The constructor checks all that can be refused, and leaves nothing behind. ``execute`` belongs inside a
    ``RaySession``.

    Args:
        settings: all options of the search.
        registry: plugins, as the workers will find them too; loaded when None.
        space: what to search; that of the settings when None.

    Raises:
        UsageError: when anything in the settings makes no sense, the folder holds another search, or a search that is
            resumed is not what it was.

    Attributes:
        settings: all options of the search.
        registry: the plugins.
        space: what is searched.
        task: the task of the search.
        objectives: the axes of the front.
    """

    def __init__(self, settings: SearchSettings, registry: Registry | None = None, space: Space | None = None) -> None:
        if not settings.resume:
            refuse_taken(settings)
        check_folder(settings)
        self.settings = settings
        self.registry = registry or load_registry(settings.plugin_folders)
        self.space = space or space_of(settings, self.registry)
        self.task: Task = self.registry.task(self.space.default())
        self.objectives = objectives_of(type(self.task), settings, self.registry)
        self.registry.get("energy", settings.energy_model)
        refuse_unused(settings, self.registry)
        self._sampler, self._rules = make_sampler(settings, self.registry), make_rules(settings, self.registry)
        self._about = about(settings, self.registry, self.space)
        if not settings.resume:
            check_start(settings, self.space)
        elif not settings.force:
            refuse_changed(read_attributes(settings.directory)["search"], self.registry, self.space)

    def read_data(self) -> SearchData:
        """Read training and validation split, and check that the augmentation fits them.

        Raises:
            UsageError: when files are missing or damaged, or images are too small for the augmentation.
        """
        default = self.space.default()
        data = self.task.search_data(self.settings.data_folder, default.steps)
        shape = tuple(self.task.prepare(data.train.inputs[:1]).shape[1:])
        refuse_misfit(default.training.schedule, self.task, shape)
        return data

    @property
    def description(self) -> str:
        """One line about the data, of a task that was made from arrays; empty for any other."""
        return self.task.describe() if isinstance(self.task, ArrayTask) else ""

    def execute(
        self, data: ray.ObjectRef[Any], callbacks: Callbacks, counting: CountingProcess | None = None
    ) -> SearchOutcome:
        """Search until the trials or the time are spent, or the user interrupts.

        Args:
            data: the task's splits, as ``share`` put them into Ray's object store.
            callbacks: called at every event.
            counting: counts what candidates cost, for a search that is ``cost_aware``; None for one that is not.

        Raises:
            UsageError: before any trial starts, when another driver runs the search, or a node differs from this one.
        """
        self._started = time.monotonic()
        lock = self._lock()
        try:
            self._start(data, callbacks, counting)
            callbacks.search_started(self._info)
            try:
                self._loop(data)
            finally:
                self._wind_up()
            return self._finish()
        finally:
            lock.release()

    def _lock(self) -> DriverLock:
        try:
            self.settings.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.settings.error("folder", f": {error.strerror}; choose another") from error
        return DriverLock(self.settings.directory)

    def _start(self, data: ray.ObjectRef[Any], callbacks: Callbacks, counting: CountingProcess | None) -> None:
        """Open the study, and make all that decides about trials."""
        settings = self.settings
        check_cluster(settings)
        seen: SearchData = ray.get(data).data_for(self.space.default(), self.registry)
        self._cost = None
        if counting is not None:
            counting.tell(seen)
            self._cost = CostModel(counting)
        first = [] if settings.resume else first_answers(settings, self.space, self._cost)
        self._record = self._open_record()
        self._info = self._describe(self._take_up() if settings.resume else None)
        self._record.begin_with(first)
        self._begin_rules(seen)
        study = self._record.study
        self._end = EndOfSearch(None if settings.time_s is None else settings.time_s - spent_s(study))
        self._callbacks = callbacks
        self._searcher = StudySearcher(
            self._record, self.space, callbacks, trials_left(settings, self._info), settings.worker_count,
            settings.weights.resolve(), self._end.end, self._rules, self._cost, settings.target_hypervolume,
        )  # fmt: skip
        if self._cost is not None:
            room = lambda: min(self._end.left_s(), self._searcher.others_s())  # noqa: E731
            study.sampler = AffordableSampler(study.sampler, self.space, self._cost, room_s=room, seed=settings.seed)

    def _open_record(self) -> StudyRecord:
        settings = self.settings
        if settings.resume:
            study = reopen_study(settings, self._sampler)
        else:
            study = create_study(settings, self.objectives, self._sampler, self._about)
        return StudyRecord(study, self.objectives, settings.limits, settings.tell_stopped)

    def _take_up(self) -> tuple[Trial, ...]:
        """Settle the trials of earlier drivers, and return those that ended."""
        self._record.take_up()
        if self._cost is not None:
            costs = self._record.costs(self._cost.remembered)
            self._cost.remember((from_flat(flat, self.registry), past) for flat, past in costs)
        return _with_weights(self._record.earlier, self.settings.weights)

    def _begin_rules(self, data: SearchData) -> None:
        if not self._rules:
            return
        chance = self.task.chance_quality(data)
        for rule in self._rules:
            rule.begin(self.objectives, chance=chance, best=self.task.best_quality)
            for number, state in self._record.states(rule.name).items():
                rule.restore(number, state)

    def _describe(self, earlier: tuple[Trial, ...] | None) -> SearchInfo:
        settings = self.settings
        space = "; ".join(map(str, settings.narrowings)) or "whole"
        return SearchInfo(
            name=str(settings.name),
            task=self.space.task,
            quality=self.task.quality,
            objectives=self.objectives,
            folder=settings.directory,
            trials=settings.trials,
            time_s=settings.time_s,
            options={**settings.stored(), **rungs_of(settings), "space": space},
            plugins=self.registry.versions(),
            earlier=earlier,
            energy_model=settings.energy_model,
        )

    def _loop(self, data: ray.ObjectRef[Any]) -> None:
        """Let Tune run trials until the searcher has no more, or the search is to end."""
        self._searcher.end_if_reached()
        tuner = tune.Tuner(
            tune.with_resources(trainable_for(self.settings, data), trial_resources(self.settings.gpus_per_trial)),
            tune_config=tune.TuneConfig(
                search_alg=self._searcher,
                scheduler=HalvingScheduler(self._searcher.decide) if self._rules else None,
                num_samples=-1,  # the searcher knows when it is done
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial-{trial.config['number']:05d}",
                trial_dirname_creator=lambda trial: f"trial-{trial.config['number']:05d}",
            ),
            run_config=tune.RunConfig(
                name=_TUNE_FOLDER,
                storage_path=str(self.settings.directory.resolve()),
                failure_config=tune.FailureConfig(max_failures=_TRIES_AFTER_LOST_WORKER),
                callbacks=[TrialErrors(self._searcher.fail)],
                stop=self._end,
                verbose=0,
            ),
        )
        pending = {"TUNE_MAX_PENDING_TRIALS_PG": str(self.settings.worker_count)}  # or workers start one after another
        log = (self.settings.directory / "ray.log").open("a")  # what Ray writes about dead workers
        with log, redirect_stdout(log), self._end.on_interrupt(), environment(pending), lost_workers():
            tuner.fit()

    def _wind_up(self) -> None:
        """Record what is still in flight, and leave only the files that are needed."""
        settings, reason = self.settings, self._end.reason
        self._searcher.end_all("PRUNED" if reason else "FAIL", reason or "the search broke off")
        keep_weights_of(settings.weights, [trial.number for trial in self._record.front.members])
        _tidy_checkpoints(settings)
        shutil.rmtree(settings.directory / _TUNE_FOLDER, ignore_errors=True)
        self._callbacks.search_ended(reason or "all trials done")

    def _finish(self) -> SearchOutcome:
        return SearchOutcome(
            dict(self._searcher.states),
            len(self._record.front.trials),
            self._end.reason or "all trials done",
            time.monotonic() - self._started,
            finished=not self._end.reason or self._searcher.reached,
        )


def space_of(settings: SearchSettings, registry: Registry) -> Space:
    """Return the space that settings describe.

    Raises:
        UnknownName: for a task, a plugin or a hyperparameter that does not exist.
        UsageError: when a plugin of that name is broken, or a narrowing makes no sense.
    """
    assert settings.task is not None
    registry.get("task", settings.task)  # says so when a plugin of that name is broken
    narrowings, _ = split_narrowings(settings.narrowings)
    for narrowing in narrowings:
        if narrowing.pattern in ("coding", "neuron", "backbone"):
            for name in narrowing.values:
                registry.get(narrowing.pattern, name)
    return Space(registry, settings.task, narrowings, settings.seed)


def _with_weights(trials: Iterable[Trial], folder: Path) -> tuple[Trial, ...]:
    """Add the weights of trials that an earlier driver may have left unrecorded."""
    files = ((trial, weights_file(folder, trial.number)) for trial in trials)
    return tuple(replace(trial, weights=file) if file.exists() else trial for trial, file in files)


def trials_left(settings: SearchSettings, info: SearchInfo) -> int | None:
    """Return how many trials of the budget are left, of which those that are evaluated again count once."""
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
    gpus, plugins = settings.gpus_per_trial, settings.plugin_folders
    worker = WorkerSettings(
        plugins,
        settings.energy_model,
        settings.weights.resolve(),
        settings.anns.resolve(),
        epoch_timeout_s=settings.epoch_timeout_s,
        group=GroupConfig(int(gpus), data, plugins, settings.energy_model) if gpus > 1 else None,
        expected=expected_on_nodes(settings),
    )
    return tune.with_parameters(CandidateTrainable, data=data, settings=worker)


def _tidy_checkpoints(settings: SearchSettings) -> None:
    """Delete what killed workers left half-written; what is whole is of trials that a resumed search goes on with."""
    folder = checkpoint_file(settings.weights, 0).parent
    for path in folder.glob("*.part"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty, or was never made
        folder.rmdir()
