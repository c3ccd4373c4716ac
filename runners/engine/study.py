"""The Optuna study: the one truth about a search, in a journal file that the driver alone owns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from spikefront.plugins import Task
from spikefront.runners.engine.listener import State
from spikefront.runners.engine.settings import SearchSettings, refuse_taken
from spikefront.searchspace import ENERGY, LATENCY, Candidate, Objective, UsageError

_STATES: Final[dict[State, TrialState]] = {
    "COMPLETE": TrialState.COMPLETE,
    "FAIL": TrialState.FAIL,
    "PRUNED": TrialState.PRUNED,
}


def objectives_of(task: type[Task], settings: SearchSettings) -> tuple[Objective, ...]:
    """Return the axes of the front: quality, energy and, if asked for, latency."""
    quality = Objective("quality", task.maximize, task.worst_quality, task.best_quality)
    return (quality, ENERGY, LATENCY) if settings.latency_objective else (quality, ENERGY)


def create_study(settings: SearchSettings, objectives: Sequence[Objective]) -> optuna.Study:
    """Create the study of a new search.

    Raises:
        UsageError: when the folder already holds a search.
    """
    refuse_taken(settings)
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--folder {settings.folder.parent}: {error.strerror}; choose another") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=settings.name,
        storage=JournalStorage(JournalFileBackend(str(settings.journal))),
        sampler=_sampler(settings),
        directions=["maximize" if objective.maximize else "minimize" for objective in objectives],
    )


def _sampler(settings: SearchSettings) -> optuna.samplers.BaseSampler:
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=settings.seed)
    if settings.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=settings.seed)
    if settings.sampler == "gp":
        return optuna.samplers.GPSampler(seed=settings.seed)
    return optuna.samplers.TPESampler(seed=settings.seed)


class StudyRecord:
    """Asks the study for trials and tells it what became of them.

    The rules: energy and latency are told as logarithms; a vector with a missing, NaN or infinite member is FAIL, with
    a reason; a trial that did not spend its full budget is never COMPLETE; nothing stays RUNNING.
    """

    def __init__(self, study: optuna.Study, objectives: Sequence[Objective]) -> None:
        self.study = study
        self.objectives = tuple(objectives)
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

    def tell(self, number: int, state: State, reason: str, metrics: Mapping[str, float]) -> tuple[State, str]:
        """Record the end of a trial, once, and return the state and reason that hold."""
        trial = self._running.pop(number)
        values: list[float] | None = None
        if state == "COMPLETE":
            try:
                values = told_values(metrics, self.objectives)
            except ValueError as error:
                state, reason = "FAIL", str(error)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}  # NaN is no JSON
        trial.set_user_attr("outcome", {"reason": reason, "metrics": finite})
        self.study.tell(trial, values, _STATES[state], skip_if_finished=False)
        return state, reason

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
