"""Searcher, scheduler and callback that connect Ray Tune with the study."""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from spikefront.plugins import StoppingRule
from spikefront.runners.engine.memory.journal import JournalError
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.patience import Patience
from spikefront.runners.engine.placing.files import (
    FAILURE,
    TRACEBACK,
    UNKEPT,
    UNSEEN,
    checkpoint_file,
    weights_file,
)
from spikefront.runners.engine.placing.running import Running, earlier_epochs, metrics_of, points_of
from spikefront.runners.engine.placing.watchdog import hang_file, reason_of_hang
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.engine.rules import Rules
from spikefront.runners.failures import LOST_WORKER, Failure
from spikefront.searchspace import Callbacks, Space, State, Trial
from spikefront.searchspace.secrets import redact

_log = logging.getLogger(__name__)


class StudySearcher(Searcher):
    """Tune's searcher, on top of the study. Tune's own record is never read back.

    Args:
        record: the study.
        space: what is searched.
        callbacks: called at every event.
        trials: how many to start, or None for no limit.
        workers: how many may be in flight. None is queued in advance: the sampler should know every result there is.
        weights: folder in which workers leave trained weights.
        end: called with the reason when the search must end, because the target is reached or the journal is full.
        rules: returns new rules that stop trials early, asked in this order; None for none.
        cost: predicts the time of trials, and learns from them; None for a search that is not aware of costs.
        patience: share of the hypervolume that is to be gained, as ``Patience`` has it; None for no such end.
        target: hypervolume at which the search has reached its end; None for no such end.
        ending: returns why the search is being ended; empty while it goes on. It raises ``RayLost`` when Ray is gone.
        untried: the candidates that are left; of the space when None.

    Attributes:
        states: number of trials that ended, by state.
        exhausted: whether all candidates of the space were tried.
        enough: whether the search has ended as its front had all but stopped growing.
    """

    def __init__(
        self,
        record: StudyRecord,
        space: Space,
        callbacks: Callbacks,
        trials: int | None,
        workers: int,
        weights: Path,
        end: Callable[[str], None],
        rules: Callable[[], Sequence[StoppingRule]] | None = None,
        cost: CostModel | None = None,
        target: float | None = None,
        ending: Callable[[], str] = str,
        untried: Untried | None = None,
        patience: float | None = None,
    ) -> None:
        super().__init__()
        self._record = record
        self._space = space
        self._callbacks = callbacks
        self.states: Counter[State] = Counter()
        self._left = math.inf if trials is None else trials
        self._workers = workers
        self._weights = weights
        self._end_search = end
        self._rules = None if rules is None else Rules(rules, record)
        self._cost = cost
        self._target = target
        self._patience = Patience(record, patience)
        self._ending = ending
        self._untried = untried or Untried(space)
        self.exhausted = self.enough = False
        self._stopped: dict[str, str] = {}  # reasons, of trials that Tune is about to end
        self._broken = False
        self._unseen: set[str] = set()  # reasons that were given
        self._running: dict[str, Running] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._left <= 0 or self._broken or self._ending():
            return Searcher.FINISHED
        if len(self._running) >= self._workers:
            return None  # Tune asks again
        if not self._record.order.is_ready(self._record.next):
            return None  # until all has ended that the next training may depend on
        if self._has_enough():
            if not self._running:
                self.end_if_enough()
                return Searcher.FINISHED
            return None  # until the others have ended
        if self._nothing_left():
            if self._running:
                return None  # a trial that loses its worker leaves a candidate to try again
            self.end_if_exhausted()
            return Searcher.FINISHED
        self._left -= 1
        try:
            begun = self._begin()
        except JournalError as error:
            self._break_off(error)
            return Searcher.FINISHED
        self._running[trial_id] = begun
        self._ending()  # Tune's next question to a Ray that was lost meanwhile would not return
        return {"number": begun.number, "candidate": dict(begun.flat)}

    def _begin(self) -> Running:
        """Ask for a trial, and record what it evaluates."""
        trial = self._record.ask()
        candidate = self._record.suggested(trial, self._space)
        counted_s = math.nan if self._cost is None else self._cost.counted(candidate)
        self._record.chosen(trial, candidate, counted_s)
        retry_of = trial.user_attrs.get("retry_of")
        if retry_of is not None:
            self._inherit_checkpoint(retry_of, trial.number)
        running = Running(trial.number, candidate, candidate.flat(), counted_s=counted_s)
        if self._cost is not None:
            running.ready = running.started + self._cost.predict(candidate)
        self._callbacks.trial_started(trial.number, candidate, retry_of)
        return running

    def _nothing_left(self) -> bool:
        """Return whether all candidates of the space are tried or being tried, and none is queued."""
        if self._record.queued or not self._is_all_tried():
            return False
        if self._running:
            return True
        self._record.order.wait_for_all(self._record.next)  # a trial that lost its worker may count later only
        return self._is_all_tried()

    def _is_all_tried(self) -> bool:
        self._untried.read(self._record.seen(self._record.next, self._untried.settled))
        return self._untried.first() is None

    def end_if_exhausted(self) -> None:
        """End the search when all candidates of the space were tried: under the same seed they would end alike."""
        if self._left > 0 and not self._ending() and not self._running and self._nothing_left():
            self.exhausted = True
            count = self._untried.count
            tried = "1 candidate, and it is tried" if count == 1 else f"{count} candidates, and all are tried"
            self._end_search(f"the space has {tried}; for more seeds: spikefront confirm")

    def _has_enough(self) -> bool:
        return not self._record.queued and bool(self._patience.looks(self._record.next))

    def end_if_enough(self) -> None:
        """End the search when its front has all but stopped growing, and no trial runs."""
        if self._left > 0 and not self._ending() and not self._running and self._has_enough():
            self.enough = True
            self._end_search(self._patience.reason)

    def others_s(self) -> float:
        """Return the seconds for which the trials in flight will keep their workers; infinite but for the last trials.

        A trial that is begun when there are fewer left than workers, and ends after all others, leaves those idle. In a
        search that repeats these are seconds by operations, of the trials begun last, whether they run or not.
        """
        if self._left >= self._workers:
            return math.inf
        order = self._record.order
        if order.repeats:
            last = [order[other].counted_s for other in range(len(order))[-self._workers : -1]]
            known = [seconds for seconds in last if math.isfinite(seconds)]
            return max(known) if known and len(known) == len(last) else math.inf
        if not self._running:
            return math.inf
        return max(0.0, max(running.ready for running in self._running.values()) - time.monotonic())

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        running = self._running[trial_id]
        epoch = int(result.get("epoch", 0))
        if epoch > running.epoch and trial_id not in self._stopped:  # one that lost its worker may repeat an epoch
            running.hear(epoch, metrics_of(result), points_of(result))
            self._callbacks.epoch_ended(running.number, epoch, running.metrics)

    def decide(self, trial_id: str, result: dict[str, Any]) -> str | None:
        """Return the reason to stop a trial after this epoch, or None."""
        if result.get(FAILURE):
            return None
        if (reason := self._catch_up(trial_id, result)) is not None:
            return reason
        self.on_trial_result(trial_id, result)
        return self._decide(trial_id)

    def _catch_up(self, trial_id: str, result: Mapping[str, Any]) -> str | None:
        """Decide about the epochs before the checkpoint that a trial goes on from: its driver may have died before."""
        running = self._running[trial_id]
        for epoch, metrics in sorted(earlier_epochs(result).items()):
            if epoch > running.epoch:
                running.hear(epoch, metrics)
                if (reason := self._decide(trial_id)) is not None:
                    return reason
        return None

    def _decide(self, trial_id: str) -> str | None:
        running = self._running[trial_id]
        if self._rules is None:
            return None
        trial = Trial(running.number, "RUNNING", running.flat, running.metrics, epoch=running.epoch)
        try:
            reason = self._rules.decide(trial, running.history)
        except JournalError as error:
            self._break_off(error)
            return None
        if reason is not None:
            self._stopped[trial_id] = reason
        return reason

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            return  # TrialErrors follows, and knows the reason
        result = result or {}
        self._catch_up(trial_id, result)
        if result.get(FAILURE) and trial_id not in self._stopped:
            self._end(trial_id, "FAIL", str(result[FAILURE]), traceback=str(result.get(TRACEBACK, "")))
            return
        self.on_trial_result(trial_id, result)
        running = self._running[trial_id]
        if trial_id in self._stopped:
            self._end(trial_id, "PRUNED", self._stopped.pop(trial_id))
        elif running.epoch < running.budget:
            self._end(trial_id, "FAIL", f"ended by itself at epoch {running.epoch} of {running.budget}")
        else:
            if result.get(UNKEPT):
                text = "trial %d: its weights were not written, so it can't be exported: %s"
                _log.warning(text, running.number, result[UNKEPT])
            if (unseen := str(result.get(UNSEEN, ""))) and unseen not in self._unseen:
                self._unseen.add(unseen)  # a plugin does it to each of its trials
                _log.warning("trial %d: what its network does was not recorded: %s", running.number, unseen)
            self._end(trial_id, "COMPLETE", "")

    def fail(self, trial_id: str, failure: Failure) -> None:
        """Record a trial that failed after its last try, or that was ended with the search."""
        running = self._running[trial_id]
        hang = reason_of_hang(hang_file(checkpoint_file(self._weights, running.number)))
        if not hang and (ending := self._ending()):
            self._interrupt(trial_id, "PRUNED", ending)
        else:
            self._end(trial_id, "FAIL", hang or failure.reason, traceback=failure.traceback)

    def _break_off(self, error: JournalError) -> None:
        self._broken = True
        self._end_search(f"broken off: {error.strerror}")

    def _inherit_checkpoint(self, before: int, number: int) -> None:
        """Rename the checkpoint of an earlier trial to that of the trial that evaluates its candidate again."""
        with suppress(FileNotFoundError):
            os.replace(checkpoint_file(self._weights, before), checkpoint_file(self._weights, number))
        hang_file(checkpoint_file(self._weights, before)).unlink(missing_ok=True)

    def end_all(self, state: State, reason: str) -> None:
        """Record trials that are still in flight, which Tune does not report; none stays running when a search ends."""
        for trial_id in list(self._running):
            self._interrupt(trial_id, state, reason)

    def _interrupt(self, trial_id: str, state: State, reason: str) -> None:
        """Record a trial that is evaluated again when the search is resumed."""
        running = self._running[trial_id]
        self._end(trial_id, state, f"{reason} at epoch {running.epoch} of {running.budget}", again=True)

    @property
    def unfinished(self) -> bool:
        """Whether there are trials in flight, or to be started."""
        return bool(self._running) or (self._left > 0 and not self.is_over)

    @property
    def is_over(self) -> bool:
        """Whether the search has come to its end before its budget is spent."""
        return self.reached or self.exhausted or self.enough

    def _end(self, trial_id: str, state: State, reason: str, again: bool = False, traceback: str = "") -> None:
        running = self._running.pop(trial_id)
        if self._broken:
            return  # in the journal it runs, and is evaluated again when the search is resumed
        reason, traceback, of = redact(reason), redact(traceback), running
        cost = running.cost()
        if cost is not None and self._cost is not None and not self._record.order.repeats:
            self._cost.measured(running.candidate, **cost)
        if self._rules is not None:
            self._rules.forget(running.number)
        metrics = running.metrics if again else running.charged()
        try:
            ended = self._record.tell(of.number, state, reason, metrics, of.epoch, again, cost, traceback, of.points)
        except JournalError as error:
            self._break_off(error)
            return
        state, reason = ended
        self.states[state] += 1
        if not again:
            checkpoint = checkpoint_file(self._weights, running.number)
            checkpoint.unlink(missing_ok=True)
            hang_file(checkpoint).unlink(missing_ok=True)  # of a worker that was killed
        weights = weights_file(self._weights, running.number)
        kept = weights if state == "COMPLETE" and weights.exists() else None
        if traceback:
            self._callbacks.trial_raised(running.number, traceback)
        if running.points and state == "COMPLETE":
            self._callbacks.points_measured(running.number, running.points)
        self._callbacks.trial_ended(running.number, state, reason, metrics, kept)
        if state == "COMPLETE":
            self.end_if_reached()

    def end_if_reached(self) -> None:
        """End the search when its front is as good as was asked for."""
        if self.reached:
            self._end_search(f"hypervolume {self._record.front.hypervolume:.4f} is reached")

    @property
    def reached(self) -> bool:
        """Whether the front is as good as was asked for."""
        return self._target is not None and self._record.front.hypervolume >= self._target

    def __getstate__(self) -> dict[str, Any]:
        """Pickle as empty: Tune's snapshot is unused."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""


class HalvingScheduler(FIFOScheduler):
    """Tune's scheduler for stopping rules, asked at every result but a trial's last whether the trial goes on.

    Tune calls it before the searcher. Of a result that stops a trial, the searcher hears in ``on_trial_complete``.

    Args:
        decide: gets a trial's id and its flat result; returns the reason to stop it, or None.
    """

    _supports_buffered_results = False  # or a trial would run past its rung

    def __init__(self, decide: Callable[[str, dict[str, Any]], str | None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._decide = decide

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        reason = self._decide(trial.trial_id, result)
        return TrialScheduler.CONTINUE if reason is None else TrialScheduler.STOP

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""


class TrialErrors(Callback):
    """Callback that passes the error of a failed trial to the searcher, which Tune itself does not."""

    def __init__(self, fail: Callable[[str, Failure], None]) -> None:
        self._fail = fail

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        # Tune's own reader looks in the experiment's storage, where the file arrives later
        path = trial.pickled_error_file
        error = cloudpickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
        self._fail(trial.trial_id, Failure(describe_error(error), "" if error is None else str(error).strip()))


def describe_error(error: BaseException | None) -> str:
    """Return in one line why Tune gave a trial up."""
    if error is None:
        return "failed outside of the candidate; see Ray's log"
    name = type(error).__name__
    if "Actor" in name or "Worker" in name or "Node" in name:
        return LOST_WORKER
    lines = str(error).strip().splitlines()
    return f"{name}: {lines[-1]}" if lines else name
