"""A search: Ray Tune places its trials, the study proposes and stores them, callbacks receive every event."""

from __future__ import annotations

import errno
import math
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, cast

import ray
from ray import tune

from spikefront.plugins import SearchData, StoppingRule
from spikefront.runners.engine.compat import lost_workers, without_signals_of_tune
from spikefront.runners.engine.interruption import Interruption, interruption, kept_handler
from spikefront.runners.engine.memory.claim import Claim
from spikefront.runners.engine.memory.journal import JournalError
from spikefront.runners.engine.memory.opening import create_study, name_values, reopen_study, spent_s
from spikefront.runners.engine.memory.order import Order
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_rules
from spikefront.runners.engine.placing.bridge import HalvingScheduler, StudySearcher, TrialErrors
from spikefront.runners.engine.placing.data import describe_splits
from spikefront.runners.engine.placing.files import checkpoint_file, keep_weights_of, weights_file
from spikefront.runners.engine.placing.nodes import check_cluster, expected_on_nodes
from spikefront.runners.engine.placing.process_group import GroupConfig, trial_resources
from spikefront.runners.engine.placing.ray_watch import RayLost, RayWatch
from spikefront.runners.engine.placing.session import environment
from spikefront.runners.engine.placing.watchdog import hang_file
from spikefront.runners.engine.placing.worker import CandidateTrainable, WorkerSettings
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.proposing.affordable import STARTUP, AffordableSampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.counting_process import CountingProcess
from spikefront.runners.engine.proposing.fresh import FreshSampler
from spikefront.runners.engine.proposing.shares import Shares
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.start import first_candidates
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.engine.settings import SearchSettings, TellStopped
from spikefront.runners.failures import one_line
from spikefront.searchspace import CallbackList, Callbacks, SearchInfo, State, Trial, from_flat
from spikefront.searchspace.secrets import redact

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
        search_id: the search's own id, which no other search has.
        missing: what of the search's journal did not reach the store; a resume writes it.
        signal: number of the signal that ended it early; 0 for none.
        trust: how far its front can be trusted, in a sentence; empty without a front.
        decide: beginning of the command that decides what the front does not.
        shares: compute that each coding has had: predicted seconds, by counted operations.
    """

    states: dict[State, int]
    judged: int
    reason: str
    seconds: float
    finished: bool
    search_id: str = ""
    missing: tuple[str, ...] = ()
    signal: int = 0
    trust: str = ""
    decide: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)


class SearchRun:
    """One run of a planned search: start, loop, finish. It belongs inside a ``RaySession``.

    Args:
        plan: what was checked before.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self.plan = plan

    @property
    def settings(self) -> SearchSettings:
        """All options of the search."""
        return self.plan.settings

    def execute(
        self,
        data: ray.ObjectRef[Any],
        callbacks: Callbacks,
        counting: CountingProcess | None = None,
        claim: Claim | None = None,
        watch: RayWatch | None = None,
    ) -> SearchOutcome:
        """Search until the trials or the time are spent, or the user interrupts.

        Args:
            data: the task's splits, as ``share`` put them into Ray's object store.
            callbacks: called at every event; one that raises costs a warning.
            counting: counts what candidates cost, for a search that is ``cost_aware``; None for one that is not.
            claim: the search's folder, which stays held; None to claim it here, until the search has ended.
            watch: the session's, of which the search is told when Ray is lost; None where nobody watches.

        Raises:
            UsageError: before any trial starts, when another driver runs the search, or a node differs from this one.
        """
        self._started = time.monotonic()
        self._watch = watch or RayWatch()
        callbacks = CallbackList(callbacks)  # none of them may end the search
        with interruption() as signals, self.plan.claim() if claim is None else nullcontext():
            signals.hold()
            self._start(data, callbacks, counting, signals)
            callbacks.search_started(self._info)
            try:
                self._loop(data)
            finally:
                self._watch.end()
                self._wind_up()
            return self._finish()

    def _start(
        self,
        data: ray.ObjectRef[Any],
        callbacks: Callbacks,
        counting: CountingProcess | None,
        signals: Interruption,
    ) -> None:
        """Open the study, and make all that decides about trials."""
        settings = self.settings
        check_cluster(settings)
        seen: SearchData = ray.get(data).data_for(self.plan.space.default(), self.plan.registry)
        self._cost = None
        if counting is not None:
            counting.tell(seen)
            self._cost = CostModel(counting)
        first = [] if settings.resume else first_candidates(settings, self.plan.space, self._cost)
        self._record = self._open_record()
        info = self.plan.info(self._take_up() if settings.resume else None, self._record.search_id)
        self._info = replace(info, data=describe_splits(seen))
        self._record.begin_with(first)
        new_rules = self._new_rules(seen)
        study = self._record.study
        time_s = None if settings.time_s is None else settings.time_s - spent_s(study)
        self._end = EndOfSearch(time_s, signals, self._watch)
        self._callbacks = callbacks
        untried = Untried(self.plan.space)
        self._searcher = StudySearcher(
            self._record,
            self.plan.space,
            callbacks,
            trials=trials_left(settings, self._info),
            workers=settings.worker_count,
            weights=settings.weights.resolve(),
            end=self._end.end,
            ending=self._ending,
            rules=new_rules,
            cost=self._cost,
            target=settings.target_hypervolume,
            untried=untried,
            patience=settings.patience,
        )
        space, shown, plugin = self.plan.space, Shown(self._record), self.plan.sampler
        self._shares = Shares(self._record, space.codings)
        fair = self._shares if settings.fair else None
        more = (settings.seed, untried, settings.sampler, plugin.keeps_state, fair)
        study.sampler = (
            FreshSampler(plugin.make, space, shown, *more)
            if self._cost is None
            else AffordableSampler(plugin.make, space, shown, self._cost, self._room_s, STARTUP, *more)
        )

    def _ending(self) -> str:
        """Return why the search is being ended, if it is; raise ``RayLost`` when Ray is gone as of now."""
        self._watch.look()
        return self._end.reason if self._end.stop_all() else ""

    def _room_s(self) -> float:
        """Return the seconds within which a new trial should end; infinite where there is no such limit."""
        return min(self._end.left_s(), self._searcher.others_s())

    def _open_record(self) -> StudyRecord:
        settings = self.settings
        try:
            if settings.resume:
                study = reopen_study(settings, self.plan.sampler)
            else:
                study = create_study(settings, self.plan.objectives, self.plan.sampler, self.plan.about)
            name_values(study, self.plan.objectives, self.plan.task.quality)
        except JournalError as error:
            raise settings.error("folder", f": {error.strerror}; make room there, or choose another") from error
        told = cast("TellStopped", settings.tell_stopped)
        order = Order(settings.worker_count if settings.repeats else None)
        return StudyRecord(study, self.plan.objectives, settings.limits, told, order)

    def _take_up(self) -> tuple[Trial, ...]:
        """Settle the trials of earlier drivers, and return those that ended."""
        self._record.take_up()
        if self._cost is not None and not self.settings.repeats:
            costs = self._record.costs(self._cost.remembered)
            self._cost.remember((from_flat(flat, self.plan.registry), past) for flat, past in costs)
        return _with_weights(self._record.earlier, self.settings.weights)

    def _new_rules(self, data: SearchData) -> Callable[[], list[StoppingRule]] | None:
        """Return what makes stopping rules that have begun; None in a search without."""
        plan = self.plan
        if not plan.rules:
            return None
        chance = plan.task.chance_quality(data)

        def make() -> list[StoppingRule]:
            rules = make_rules(plan.settings, plan.registry)
            for rule in rules:
                rule.begin(plan.objectives, chance=chance, best=plan.task.best_quality)
            return rules

        return make

    def _loop(self, data: ray.ObjectRef[Any]) -> None:
        """Run trials on Ray Tune until the searcher has no more, or the search is to end."""
        with (self.settings.directory / "ray.log").open("a") as log:  # what Ray writes about dead workers
            try:
                self._searcher.end_if_reached()
                self._searcher.end_if_exhausted()
                self._searcher.end_if_enough()
                if not self._end.stop_all():
                    self._run_trials(data, log)
            except RayLost as lost:
                self._break_off(str(lost))
            except Exception as error:  # Tune's or Ray's own: those of trials don't get here
                print(redact(traceback.format_exc()), file=log)
                self._break_off(self._watch.look() or self._problem(error))

    def _break_off(self, problem: str) -> None:
        self._end.end(f"broken off: {problem}")
        with kept_handler():
            ray.shutdown()  # before the wind-up: a Ray that lost its GCS ends this process after a minute

    def _problem(self, error: Exception) -> str:
        folder = self.settings.directory
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return f"Ray can't write: {error.strerror}; make room in its folder and {folder}, or set RAY_TMPDIR"
        return f"{one_line(error)}; see {folder / 'ray.log'}"

    def _run_trials(self, data: ray.ObjectRef[Any], log: IO[str]) -> None:
        tuner = tune.Tuner(
            tune.with_resources(trainable_for(self.plan, data), trial_resources(self.settings.gpus_per_trial)),
            tune_config=tune.TuneConfig(
                search_alg=self._searcher,
                scheduler=HalvingScheduler(self._searcher.decide) if self.plan.rules else None,
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
        with redirect_stdout(log), without_signals_of_tune(), environment(pending), lost_workers():
            tuner.fit()

    def _wind_up(self) -> None:
        """Record what is still in flight, and leave only the files that are needed."""
        settings = self.settings
        if self._searcher.unfinished:
            self._end.stop_all()  # for its reason, where a signal ended it
        reason = self._end.reason
        self._searcher.end_all("PRUNED" if reason else "FAIL", reason or "the search broke off")
        keep_weights_of(settings.weights, self._record.front.members)
        _tidy_checkpoints(settings, self._record.unsettled)
        shutil.rmtree(settings.directory / _TUNE_FOLDER, ignore_errors=True)
        self._callbacks.search_ended(reason or "all trials done")

    def _finish(self) -> SearchOutcome:
        return SearchOutcome(
            dict(self._searcher.states),
            len(self._record.front.curve),
            self._end.reason or "all trials done",
            time.monotonic() - self._started,
            finished=not self._end.reason or self._searcher.is_over,
            search_id=self._info.id,
            signal=self._end.signal,
            shares=self._shares.spent(),
        )


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
    """The end of a search by its time limit, by a signal, or by what happened in it.

    Args:
        time_s: seconds until its time is up; None for no limit.
        signals: what handles the signals that end it.
        watch: tells it when Ray is gone.

    Attributes:
        reason: why the search was ended early; empty while it was not.
        signal: number of the signal that ended it; 0 for none.
    """

    def __init__(self, time_s: float | None, signals: Interruption, watch: RayWatch) -> None:
        self._deadline = math.inf if time_s is None else time.monotonic() + time_s
        self._signals = signals
        self._watch = watch
        self.reason = ""
        self.signal = 0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def end(self, reason: str) -> None:
        """End the search."""
        self.reason = self.reason or reason

    def left_s(self) -> float:
        """Return the seconds until the time is up; infinite where it is not limited."""
        return self._deadline - time.monotonic()

    def stop_all(self) -> bool:
        self._watch.check()
        if not self.reason and self._signals.number:
            self.reason, self.signal = self._signals.reason, self._signals.number
        if not self.reason and time.monotonic() >= self._deadline:
            self.reason = "time is up"
        return bool(self.reason)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle as empty: Tune's snapshot is unused."""
        return {}


def trainable_for(plan: SearchPlan, data: ray.ObjectRef[Any]) -> Any:
    """Return what Tune runs on each worker."""
    settings, energy_model = plan.settings, str(plan.energy_model)
    gpus, plugins = settings.gpus_per_trial, settings.plugin_folders
    worker = WorkerSettings(
        plugins,
        energy_model,
        settings.weights.resolve(),
        settings.anns.resolve(),
        epoch_timeout_s=settings.epoch_timeout_s,
        cuts=settings.cuts,
        group=GroupConfig(int(gpus), data, plugins, energy_model) if gpus > 1 else None,
        expected=expected_on_nodes(settings),
        at_once=settings.worker_count,
    )
    return tune.with_parameters(CandidateTrainable, data=data, settings=worker)


def _tidy_checkpoints(settings: SearchSettings, unsettled: Iterable[int]) -> None:
    """Delete the checkpoints of all trials but these, and what killed workers left half-written or under a limit."""
    folder = checkpoint_file(settings.weights, 0).parent
    kept = {checkpoint_file(settings.weights, number) for number in unsettled}
    for path in folder.glob("trial-*.pt"):
        if path not in kept:
            path.unlink(missing_ok=True)
    for path in (*folder.glob("*.part"), *folder.glob(hang_file(Path("*")).name)):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty, or was never made
        folder.rmdir()
