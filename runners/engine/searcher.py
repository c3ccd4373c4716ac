"""Between Ray Tune and the study: Tune asks for configurations and reports results, the study decides and remembers."""

from __future__ import annotations

import math
import os
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
from spikefront.runners.engine.journal import JournalError
from spikefront.runners.engine.listener import Listener, State
from spikefront.runners.engine.study import StudyRecord
from spikefront.searchspace import Candidate, Space

FAILURE = "failure"
"""Key under which a worker reports why a trial can't go on."""


@dataclass(slots=True)
class _Running:
    number: int
    candidate: Candidate
    metrics: dict[str, float]
    epoch: int = 0
    history: dict[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        return self.candidate.training.schedule.epochs


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
        on_broken: called with the reason when the journal can't be written, after which nothing more is kept.
        stopping: when trials are stopped early; None for never.
    """

    def __init__(
        self,
        record: StudyRecord,
        space: Space,
        listener: Listener,
        trials: int | None,
        workers: int,
        weights: Path,
        on_broken: Callable[[str], None],
        stopping: EarlyStopping | None = None,
    ) -> None:
        super().__init__()
        self._record = record
        self._space = space
        self._listener = listener
        self._left = math.inf if trials is None else trials
        self._workers = workers
        self._weights = weights
        self._on_broken = on_broken
        self._stopping = stopping
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
        self._running[trial_id] = _Running(trial.number, candidate, {})
        self._listener.trial_started(trial.number, candidate)
        return {"number": trial.number, "candidate": candidate.flat()}

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
        self._end(trial_id, "FAIL", reason)

    def _break_off(self, error: JournalError) -> None:
        self._broken = True
        self._on_broken(str(error.strerror))

    def _inherit_checkpoint(self, before: int, number: int) -> None:
        """Let a trial that is judged again go on where the one before it was."""
        with suppress(FileNotFoundError):
            os.replace(checkpoint_file(self._weights, before), checkpoint_file(self._weights, number))

    def end_all(self, state: State, reason: str) -> None:
        """Record what is still in flight, of which Tune says nothing; nothing stays running when a search ends."""
        for trial_id, running in list(self._running.items()):
            self._end(trial_id, state, f"{reason} at epoch {running.epoch} of {running.budget}", again=True)

    def _end(self, trial_id: str, state: State, reason: str, again: bool = False) -> None:
        running = self._running.pop(trial_id)
        if self._broken:
            return  # in the journal it runs, and is judged again when the search is resumed
        try:
            told = self._record.tell(running.number, state, reason, running.metrics, running.epoch, again)
        except JournalError as error:
            self._break_off(error)
            return
        state, reason = told
        if not again:
            checkpoint_file(self._weights, running.number).unlink(missing_ok=True)
        weights = weights_file(self._weights, running.number)
        kept = weights if state == "COMPLETE" and weights.exists() else None
        self._listener.trial_ended(running.number, state, reason, running.metrics, kept)

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


def weights_file(folder: Path, number: int) -> Path:
    """Return where the weights of a trial lie."""
    return folder / f"trial-{number:05d}.pt"


def checkpoint_file(weights: Path, number: int) -> Path:
    """Return where a trial that runs keeps its checkpoint."""
    return weights.parent / "checkpoints" / f"trial-{number:05d}.pt"


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Pick the metrics out of a result, which Tune flattens."""
    prefix = "metrics/"
    return {key.removeprefix(prefix): float(value) for key, value in result.items() if key.startswith(prefix)}
