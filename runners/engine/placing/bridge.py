"""Between Ray Tune and the study: Tune asks for configurations and reports results, the study decides and remembers."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from spikefront.runners.engine.halving import Rungs, dead_reason
from spikefront.runners.engine.memory.journal import JournalError
from spikefront.runners.engine.memory.study import Cost, StudyRecord
from spikefront.runners.engine.placing.files import FAILURE, checkpoint_file, weights_file
from spikefront.runners.engine.placing.watchdog import hang_file, reason_of_hang
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.searchspace import Candidate, Listener, Space, State


@dataclass(slots=True)
class _Running:
    number: int
    candidate: Candidate
    metrics: dict[str, float]
    epoch: int = 0
    history: dict[int, Mapping[str, float]] = field(default_factory=dict)
    counted_s: float = math.nan  # what its judging was predicted to take by its operations
    ready: float = math.inf  # when it is predicted to end
    started: float = field(default_factory=time.monotonic)

    @property
    def budget(self) -> int:
        return self.candidate.training.schedule.epochs

    def cost(self) -> Cost | None:
        """Say what the whole judging takes at the speed of the epochs that ran; None where that says nothing."""
        if not self.history or not math.isfinite(self.counted_s) or self.metrics.get("ann_trained") == 0:
            return None
        # a conversion coding's one step is the whole of its budget
        epochs = self.epoch if "ann_trained" in self.metrics else len(self.history)
        seconds = sum(metrics["seconds"] for metrics in self.history.values())
        return {"counted_s": self.counted_s, "measured_s": seconds * self.budget / epochs}


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """When a trial is stopped.

    Attributes:
        rungs: where trials are compared with each other.
        chance: quality of the best constant output.
        best: the best possible quality.
    """

    rungs: Rungs
    chance: float
    best: float


class StudySearcher(Searcher):
    """Asks the study, tells it, and tells the listener. Tune's own record is never read back.

    Args:
        record: the study.
        space: what is searched.
        listener: who is told of each event.
        trials: how many to ask for, or None for no limit.
        workers: how many may be in flight. None waits its turn: the sampler should know every result there is.
        weights: folder in which workers leave trained weights.
        end: called with the reason when the search must end, because the target is reached or nothing can be kept.
        stopping: when trials are stopped early; None for never.
        cost: what predicts what trials take, and learns from them; None where nobody asks.
        target: hypervolume at which the search has reached its end; None for no such end.
    """

    def __init__(
        self,
        record: StudyRecord,
        space: Space,
        listener: Listener,
        trials: int | None,
        workers: int,
        weights: Path,
        end: Callable[[str], None],
        stopping: EarlyStopping | None = None,
        cost: CostModel | None = None,
        target: float | None = None,
    ) -> None:
        super().__init__()
        self._record = record
        self._space = space
        self._listener = listener
        self._left = math.inf if trials is None else trials
        self._workers = workers
        self._weights = weights
        self._end_search = end
        self._stopping = stopping
        self._cost = cost
        self._target = target
        self._stopped: dict[str, str] = {}  # reasons, of trials that Tune is about to end
        self._broken = False
        self._running: dict[str, _Running] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._left <= 0 or self._broken:
            return Searcher.FINISHED
        if len(self._running) >= self._workers:
            return None  # Tune asks again
        self._left -= 1
        try:
            trial = self._record.ask()
            candidate = self._space.suggest(trial)
            self._record.chosen(trial, candidate)
        except JournalError as error:
            self._break_off(error)
            return Searcher.FINISHED
        if "retry_of" in trial.user_attrs:
            self._inherit_checkpoint(trial.user_attrs["retry_of"], trial.number)
        self._running[trial_id] = running = _Running(trial.number, candidate, {})
        if self._cost is not None:
            running.counted_s = self._cost.counted(candidate)
            running.ready = running.started + self._cost.predict(candidate)
        self._listener.trial_started(trial.number, candidate, trial.user_attrs.get("retry_of"))
        return {"number": trial.number, "candidate": candidate.flat()}

    def others_s(self) -> float:
        """Return the seconds for which the trials in flight will keep their workers; infinite but for the last trials.

        A trial that is begun when there are fewer left than workers, and ends after all others, leaves those idle.
        """
        if self._left >= self._workers or not self._running:
            return math.inf
        return max(0.0, max(running.ready for running in self._running.values()) - time.monotonic())

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        running = self._running[trial_id]
        epoch = int(result.get("epoch", 0))
        if epoch > running.epoch:  # a trial that lost its worker may repeat an epoch
            running.epoch = epoch
            running.metrics = running.history[epoch] = _metrics(result)
            self._listener.epoch_ended(running.number, epoch, running.metrics)

    def decide(self, trial_id: str, result: dict[str, Any]) -> str | None:
        """Say why a trial is stopped after this epoch, or None: it goes on."""
        running, stopping = self._running[trial_id], self._stopping
        if stopping is None or result.get(FAILURE):
            return None
        self.on_trial_result(trial_id, result)
        number, epoch, budget = running.number, running.epoch, running.budget
        reason = dead_reason(running.history, epoch, budget, chance=stopping.chance, best=stopping.best)
        if reason is None and epoch in stopping.rungs.rung_epochs(budget):
            coding = running.candidate.coding.name
            reason = stopping.rungs.decide(number, coding, epoch, budget, running.metrics)
            try:
                self._record.note_rungs(number, stopping.rungs.state(number))
            except JournalError as error:
                self._break_off(error)
        if reason is not None:
            self._stopped[trial_id] = reason
        return reason

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            return  # TrialErrors follows, and knows the reason
        result = result or {}
        if result.get(FAILURE):
            self._end(trial_id, "FAIL", str(result[FAILURE]))
            return
        self.on_trial_result(trial_id, result)
        running = self._running[trial_id]
        if trial_id in self._stopped:
            self._end(trial_id, "PRUNED", self._stopped.pop(trial_id))
        elif running.epoch < running.budget:
            self._end(trial_id, "FAIL", f"ended by itself at epoch {running.epoch} of {running.budget}")
        else:
            self._end(trial_id, "COMPLETE", "")

    def fail(self, trial_id: str, reason: str) -> None:
        """Record that a trial failed for good."""
        hang = hang_file(checkpoint_file(self._weights, self._running[trial_id].number))
        self._end(trial_id, "FAIL", reason_of_hang(hang) or reason)

    def _break_off(self, error: JournalError) -> None:
        self._broken = True
        self._end_search(f"broken off: {error.strerror}")

    def _inherit_checkpoint(self, before: int, number: int) -> None:
        """Let a trial that is judged again go on where the one before it was."""
        with suppress(FileNotFoundError):
            os.replace(checkpoint_file(self._weights, before), checkpoint_file(self._weights, number))
        hang_file(checkpoint_file(self._weights, before)).unlink(missing_ok=True)

    def end_all(self, state: State, reason: str) -> None:
        """Record what is still in flight, of which Tune says nothing; nothing stays running when a search ends."""
        for trial_id, running in list(self._running.items()):
            self._end(trial_id, state, f"{reason} at epoch {running.epoch} of {running.budget}", again=True)

    def _end(self, trial_id: str, state: State, reason: str, again: bool = False) -> None:
        running = self._running.pop(trial_id)
        if self._broken:
            return  # in the journal it runs, and is judged again when the search is resumed
        cost = running.cost()
        if cost is not None and self._cost is not None:
            self._cost.measured(running.candidate, **cost)
        try:
            told = self._record.tell(running.number, state, reason, running.metrics, running.epoch, again, cost)
        except JournalError as error:
            self._break_off(error)
            return
        state, reason = told
        if not again:
            checkpoint = checkpoint_file(self._weights, running.number)
            checkpoint.unlink(missing_ok=True)
            hang_file(checkpoint).unlink(missing_ok=True)  # of a worker that was killed
        weights = weights_file(self._weights, running.number)
        kept = weights if state == "COMPLETE" and weights.exists() else None
        self._listener.trial_ended(running.number, state, reason, running.metrics, kept)
        if state == "COMPLETE":
            self.end_if_reached()

    def end_if_reached(self) -> None:
        """End the search when its front is as good as was asked for."""
        if self.reached:
            self._end_search(f"hypervolume {self._record.hypervolume:.4f} is reached")

    @property
    def reached(self) -> bool:
        """Whether the front is as good as was asked for."""
        return self._target is not None and self._record.hypervolume >= self._target

    def __getstate__(self) -> dict[str, Any]:
        """Let Tune pickle an empty shell into its own snapshot, which nobody reads."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is the truth."""


class TrialErrors(Callback):
    """Hands the reason of a trial that Tune gave up on to the searcher, which Tune tells only that there was one."""

    def __init__(self, fail: Callable[[str, str], None]) -> None:
        self._fail = fail

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        # Tune's own reader looks in the experiment's storage, where the file arrives later
        path = trial.pickled_error_file
        error = cloudpickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
        self._fail(trial.trial_id, describe_error(error))


def describe_error(error: BaseException | None) -> str:
    """Say in one line why Tune gave a trial up."""
    if error is None:
        return "failed outside of the candidate; see Ray's log"
    name = type(error).__name__
    if "Actor" in name or "Worker" in name or "Node" in name:
        return "lost its worker (killed, out of memory, or the machine went away)"
    lines = str(error).strip().splitlines()
    return f"{name}: {lines[-1]}" if lines else name


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Pick the metrics out of a result, which Tune flattens."""
    prefix = "metrics/"
    return {key.removeprefix(prefix): float(value) for key, value in result.items() if key.startswith(prefix)}
