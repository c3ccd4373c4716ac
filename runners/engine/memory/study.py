"""The Optuna study: the one truth about a search, in a journal file that the driver alone owns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any, Final, TypedDict

import numpy as np
import optuna
from optuna.trial import TrialState

from spikefront.plugins import Task
from spikefront.runners.engine.memory.journal import open_journal
from spikefront.runners.engine.sampling import make_sampler
from spikefront.runners.engine.settings import NO_LIMITS, Limits, SearchSettings, TellStopped, refuse_taken
from spikefront.searchspace import ENERGY, LATENCY, Candidate, EarlierTrial, Objective, State, Value
from spikefront.searchspace.front import hypervolume, losses, nondominated

_STATES: Final[dict[State, TrialState]] = {
    "COMPLETE": TrialState.COMPLETE,
    "FAIL": TrialState.FAIL,
    "PRUNED": TrialState.PRUNED,
}


def objectives_of(task: type[Task], settings: SearchSettings) -> tuple[Objective, ...]:
    """Return the axes of the front: quality, energy and, if asked for, latency."""
    quality = Objective("quality", task.maximize, task.worst_quality, task.best_quality)
    return (quality, ENERGY, LATENCY) if settings.latency_objective else (quality, ENERGY)


def create_study(
    settings: SearchSettings, objectives: Sequence[Objective], about: Mapping[str, Any] | None = None
) -> optuna.Study:
    """Create the study of a new search; call it under the ``DriverLock``.

    Args:
        settings: how to search.
        objectives: the axes of the front.
        about: what to keep in the journal, so that the search can be resumed.

    Raises:
        UsageError: when the folder already holds a search.
    """
    refuse_taken(settings)
    settings.journal.unlink(missing_ok=True)  # of a driver that died at once
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=settings.name,
        storage=open_journal(settings.folder),
        sampler=make_sampler(settings.sampler, settings.seed),
        directions=["maximize" if objective.maximize else "minimize" for objective in objectives],
    )
    study.set_user_attr("search", dict(about or {}))
    _begin_session(study)
    return study


def reopen_study(settings: SearchSettings) -> optuna.Study:
    """Open the study of a search that was begun before; call it under the ``DriverLock``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_journal(settings.folder)
    study = optuna.load_study(study_name=settings.name, storage=storage)
    # the sampler's own random state is not in the journal; the same seed would draw the same candidates again
    seed = int(np.random.SeedSequence((settings.seed, len(study.get_trials(deepcopy=False)))).generate_state(1)[0])
    study.sampler = make_sampler(settings.sampler, seed)
    _begin_session(study)
    return study


def _begin_session(study: optuna.Study) -> None:
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    study.set_user_attr("sessions", [*study.user_attrs.get("sessions", []), now])


def spent_s(study: optuna.Study) -> float:
    """Return the seconds that earlier drivers searched: each from its start to the last trial that it ended."""
    starts = [datetime.fromisoformat(text) for text in study.user_attrs["sessions"]]
    ends = [trial.datetime_complete for trial in study.get_trials(deepcopy=False) if trial.datetime_complete]
    total = 0.0
    for start, following in pairwise(starts):
        total += max(
            ((end - start).total_seconds() for end in map(_naive, ends) if start <= end < following), default=0
        )
    return total


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


class Cost(TypedDict):
    """What a trial's judging takes, in seconds: ``counted`` from its operations, ``measured`` at its own speed."""

    counted_s: float
    measured_s: float


class StudyRecord:
    """Asks the study for trials and tells it what became of them.

    The rules: energy and latency are told as logarithms; a vector with a missing, NaN or infinite member is FAIL, with
    a reason; a trial that did not spend its full budget is never COMPLETE; nothing stays RUNNING.

    What became of a trial is its attribute ``outcome``. Optuna's own state is what the sampler learns from, and differs
    in one case: with ``tell_stopped="partial"`` a trial that was stopped early is told as COMPLETE, with the values
    that it had reached.

    Args:
        study: the study, of which this is the only user.
        objectives: what is optimised.
        limits: what candidates should keep to.
        tell_stopped: what the sampler is told of a trial that was stopped early.
    """

    def __init__(
        self,
        study: optuna.Study,
        objectives: Sequence[Objective],
        limits: Limits = NO_LIMITS,
        tell_stopped: TellStopped = "pruned",
    ) -> None:
        self.study = study
        self.objectives = tuple(objectives)
        self._limits = limits
        self._tell_stopped = tell_stopped
        self._running: dict[int, optuna.Trial] = {}

    def ask(self) -> optuna.Trial:
        """Start a trial."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self.study.ask()
        self._running[trial.number] = trial
        return trial

    def chosen(self, trial: optuna.Trial, candidate: Candidate) -> None:
        """Record which candidate the trial judges."""
        trial.set_user_attr("candidate", candidate.flat())

    def tell(
        self,
        number: int,
        state: State,
        reason: str,
        metrics: Mapping[str, float],
        epoch: int = 0,
        again: bool = False,
        cost: Cost | None = None,
    ) -> tuple[State, str]:
        """Record the end of a trial, once, and return the state and reason that hold.

        Args:
            number: the trial's number.
            state: how it ended.
            reason: why, unless it was judged.
            metrics: its last metrics.
            epoch: the epoch that they belong to.
            again: whether it was broken off by the end of the search, so that resuming judges it again.
            cost: what it took, where that is known.
        """
        trial = self._running.pop(number)
        values: list[float] | None = None
        if state == "COMPLETE" or (state == "PRUNED" and not again and self._tell_stopped == "partial"):
            try:
                values = told_values(metrics, self.objectives)
            except ValueError as error:
                state, reason = "FAIL", str(error)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}  # NaN is no JSON
        outcome = {"state": state, "reason": reason, "metrics": finite, "epoch": epoch, "again": again, "cost": cost}
        if values is not None:
            for name, violation in self._limits.violations(metrics, self.objectives[0].maximize).items():
                trial.set_constraint(name, violation)
        trial.set_user_attr("outcome", outcome)
        told = TrialState.COMPLETE if values is not None else _STATES[state]
        self.study.tell(trial, values, told, skip_if_finished=False)
        return state, reason

    @property
    def judged(self) -> int:
        """Number of trials that were judged at full budget, also before the search was resumed."""
        return len(self._judged()[0])

    @property
    def front(self) -> tuple[int, ...]:
        """Numbers of the trials that were judged at full budget and that no other such trial dominates."""
        numbers, points = self._judged()
        return tuple(np.array(numbers)[nondominated(losses(points, self.objectives))].tolist()) if numbers else ()

    @property
    def hypervolume(self) -> float:
        """Share of the space between worst and ideal that the front dominates, from 0 to 1."""
        return hypervolume(self._judged()[1], self.objectives)

    def _judged(self) -> tuple[list[int], list[list[float]]]:
        outcomes = [(trial.number, trial.user_attrs.get("outcome")) for trial in self.study.get_trials(deepcopy=False)]
        judged = [
            (number, outcome["metrics"]) for number, outcome in outcomes if outcome and outcome["state"] == "COMPLETE"
        ]
        return (
            [number for number, _ in judged],
            [[metrics[axis.metric] for axis in self.objectives] for _, metrics in judged],
        )

    def costs(self, last: int) -> list[tuple[Mapping[str, Value], Cost]]:
        """Return flat candidate and cost of the last trials of which it is known, in the order of their numbers."""
        trials = reversed(self.study.get_trials(deepcopy=False))
        known = (t for t in trials if t.user_attrs.get("outcome", {}).get("cost") is not None)
        found = [(t.user_attrs["candidate"], t.user_attrs["outcome"]["cost"]) for t in islice(known, last)]
        return found[::-1]

    def begin_with(self, answers: Sequence[Mapping[str, Value]]) -> None:
        """Queue candidates to be judged before any that the sampler proposes."""
        for one in answers:
            self.study.enqueue_trial(dict(one), user_attrs={"prior": True})

    def take_up(self) -> None:
        """Settle what an earlier driver left: finish what had been judged, queue again what had not."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._settle(trial)
        trials = self.study.get_trials(deepcopy=False)
        queued = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            if trial.user_attrs.get("outcome", {}).get("again") and trial.number not in queued:
                self.study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})

    def _settle(self, trial: optuna.trial.FrozenTrial) -> None:
        """Tell of a trial that was running when its driver died."""
        self._running[trial.number] = optuna.Trial(self.study, trial._trial_id)
        outcome = trial.user_attrs.get("outcome")
        if outcome is not None:  # the driver died between the two records of its end
            self.tell(
                trial.number,
                outcome["state"],
                outcome["reason"],
                outcome["metrics"],
                outcome["epoch"],
                cost=outcome.get("cost"),
            )
        else:
            self.tell(trial.number, "FAIL", "the driver died; judged again under another number", {}, again=True)

    def note_rungs(self, number: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep what early stopping knows of a running trial."""
        self._running[number].set_user_attr("rungs", list(records))

    def rungs(self) -> list[dict[str, Any]]:
        """Return what was kept by ``note_rungs``; of a trial that is judged again under its new number."""
        trials = self.study.get_trials(deepcopy=False)
        again = {trial.user_attrs["retry_of"]: trial.number for trial in trials if "retry_of" in trial.user_attrs}
        records = []
        for trial in trials:
            number = trial.number
            while number in again:
                number = again[number]
            records += [{**record, "number": number} for record in trial.user_attrs.get("rungs", ())]
        return records

    @property
    def earlier(self) -> tuple[EarlierTrial, ...]:
        """Trials that have ended, in the order of their numbers."""
        return tuple(
            EarlierTrial(
                number=trial.number,
                candidate=trial.user_attrs.get("candidate", {}),
                state=trial.user_attrs["outcome"]["state"],
                reason=trial.user_attrs["outcome"]["reason"],
                metrics=trial.user_attrs["outcome"]["metrics"],
                epoch=trial.user_attrs["outcome"]["epoch"],
                again=trial.user_attrs["outcome"]["again"],
                retry_of=trial.user_attrs.get("retry_of"),
            )
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        )

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the trials that have not been told yet."""
        return tuple(self._running)


def told_values(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> list[float]:
    """Return the objective vector as the sampler sees it.

    Raises:
        ValueError: saying which member is missing, NaN, infinite or, on a logarithmic axis, not positive.
    """
    values = []
    for objective in objectives:
        if objective.metric not in metrics:
            raise ValueError(f"{objective.metric} is missing")
        value = metrics[objective.metric]
        if not math.isfinite(value) or (objective.log and value <= 0):
            raise ValueError(f"{objective.metric} is {value:g}")
        values.append(objective.told(value))
    return values
