"""The Optuna study of a search, in a journal file that the driver alone writes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any, Final, NamedTuple, TypedDict

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from spikefront.runners.engine.memory.order import PLACE, Order, trained_share
from spikefront.runners.engine.memory.outcome import finite, points_in, standing_of
from spikefront.runners.engine.settings import NO_LIMITS, Limits, TellStopped
from spikefront.searchspace import Candidate, Front, Objective, Prior, Space, State, Trial, Value
from spikefront.searchspace.front import objective_vector

_PINNED: Final = "pinned"
"""Attribute of a trial with the values of its prior that the space does not search."""

LIMIT: Final = "limit."
"""Prefix of attributes of a trial with how far each limit is overstepped, 0 or less where it is kept."""

_STATES: Final[dict[State, TrialState]] = {
    "COMPLETE": TrialState.COMPLETE,
    "FAIL": TrialState.FAIL,
    "PRUNED": TrialState.PRUNED,
}


class Cost(TypedDict):
    """Seconds of an evaluation: ``counted`` from its operations, ``measured`` at its own speed."""

    counted_s: float
    measured_s: float


class Seen(NamedTuple):
    """What a training may know of another: its ordinal and flat candidate; its outcome, if that counts already."""

    ordinal: int
    candidate: Mapping[str, Value]
    outcome: Mapping[str, Any] | None


class StudyRecord:
    """The trials of a study: asked for, and recorded when they end.

    The rules: energy and latency are recorded as logarithms; a vector with a missing, NaN or infinite member is FAIL,
    with a reason; a trial that did not spend its full budget is never COMPLETE; nothing stays RUNNING.

    The outcome of a trial is its attribute ``outcome``. Optuna's own state is what the sampler learns from, and differs
    in one case: with ``tell_stopped="partial"`` a trial that was stopped early is COMPLETE there, with the values that
    it had reached.

    Args:
        study: the study, of which this is the only user.
        objectives: what is optimised.
        limits: what candidates should keep to.
        tell_stopped: how a trial that was stopped early is reported to the sampler.
        order: order of the trainings; None for one in which results count as soon as they are there.

    Attributes:
        order: the trainings by ordinal.
        front: the trials evaluated at full budget, also before the search was resumed, and the front among them.
    """

    def __init__(
        self,
        study: optuna.Study,
        objectives: Sequence[Objective],
        limits: Limits = NO_LIMITS,
        tell_stopped: TellStopped = "pruned",
        order: Order | None = None,
    ) -> None:
        self.study = study
        self.order = Order() if order is None else order
        self._read_order()
        self.objectives = tuple(objectives)
        self._limits = limits
        self._tell_stopped = tell_stopped
        self._running: dict[int, optuna.Trial] = {}
        self._noted: dict[tuple[int, str], Any] = {}
        self.front = Front(self.objectives, self.earlier)

    @property
    def next(self) -> int:
        """Ordinal of the training that ``ask`` starts: the first that is queued, or else a new one."""
        return min(self._queue, default=len(self.order))

    def _read_order(self) -> None:
        """Read the order of the trainings, and which of them are queued."""
        trials = self.study.get_trials(deepcopy=False)
        self.order.read(trials)
        last = {self.order.ordinal(trial.number): trial for trial in trials}
        self._queue = {ordinal: trial for ordinal, trial in last.items() if trial.state is TrialState.WAITING}
        self._seen = {
            ordinal: Seen(ordinal, trial.user_attrs["candidate"], trial.user_attrs.get("outcome"))
            for ordinal, trial in last.items()
            if "candidate" in trial.user_attrs
        }

    def ask(self) -> optuna.Trial:
        """Start a trial."""
        queued = self._queue.pop(self.next, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Study.ask would look through all trials, and start the queued one with the lowest number
            storage = self.study._storage
            if queued is None:
                trial_id = storage.create_new_trial(self.study._study_id)
            else:
                trial_id = queued._trial_id
                storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            trial = optuna.Trial(self.study, trial_id)
        self.order.add(trial.number)
        self._running[trial.number] = trial
        return trial

    def chosen(self, trial: optuna.Trial, candidate: Candidate, counted_s: float = math.nan) -> None:
        """Record which candidate the trial judges, and the place of its training.

        Args:
            trial: what ``ask`` returned.
            candidate: the candidate.
            counted_s: predicted seconds of its evaluation, by its operations; infinite or NaN where not known.
        """
        ordinal, flat = self.order.ordinal(trial.number), candidate.flat()
        trial.set_user_attr(PLACE, self.order.place(ordinal, counted_s))
        trial.set_user_attr("candidate", flat)
        self._seen[ordinal] = Seen(ordinal, flat, None)

    def tell(
        self,
        number: int,
        state: State,
        reason: str,
        metrics: Mapping[str, float],
        epoch: int = 0,
        again: bool = False,
        cost: Cost | None = None,
        traceback: str = "",
        points: Mapping[int, Mapping[str, float]] | None = None,
    ) -> tuple[State, str]:
        """Record the end of a trial, once, and return the state and reason that hold.

        Args:
            number: the trial's number.
            state: how it ended.
            reason: why, unless it was judged.
            metrics: its last metrics.
            epoch: the epoch that they belong to.
            again: whether it was broken off by the end of the search, so that resuming judges it again.
            cost: seconds that it took, where known.
            traceback: of the exception that it failed with; empty where there is none.
            points: metrics of its network stopped after fewer steps, by T'; they hold where it is COMPLETE.
        """
        trial = self._running.pop(number)
        values: list[float] | None = None
        if state == "COMPLETE" or (state == "PRUNED" and not again and self._tell_stopped == "partial"):
            try:
                values = objective_vector(metrics, self.objectives)
            except ValueError as error:
                state, reason = "FAIL", str(error)
        known = finite(metrics)
        outcome = {"state": state, "reason": reason, "metrics": known, "epoch": epoch, "again": again, "cost": cost}
        if traceback:
            outcome["traceback"] = traceback
        if points and state == "COMPLETE":
            outcome["points"] = {str(cut): finite(of) for cut, of in points.items()}
        if values is not None:
            for name, violation in self._limits.violations(metrics, self.objectives[0].maximize).items():
                trial.set_constraint(name, violation)
                trial.set_user_attr(f"{LIMIT}{name}", violation)  # Optuna's dashboard shows no constraint by name
        trial.set_user_attr("outcome", outcome)
        told = TrialState.COMPLETE if values is not None else _STATES[state]
        self.study.tell(trial, values, told, skip_if_finished=False)
        flat = trial.user_attrs.get("candidate", {})
        ordinal = self.order.ordinal(number)
        if ordinal in self._seen:
            self._seen[ordinal] = self._seen[ordinal]._replace(outcome=outcome)
        self.order.end(number, again, trained_share(flat, outcome))
        self.front.add(Trial(number, state, flat, known, epoch=epoch).with_points(points_in(outcome)))
        return state, reason

    def standing(self, outcome: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the objective vectors of a training's points, and by how much each oversteps the limits."""
        return standing_of(points_in(outcome).values(), self.objectives, self._limits)

    def costs(self, last: int) -> list[tuple[Mapping[str, Value], Cost]]:
        """Return flat candidate and cost of the last trials of which it is known, in the order of their numbers."""
        trials = reversed(self.study.get_trials(deepcopy=False))
        known = (t for t in trials if t.user_attrs.get("outcome", {}).get("cost") is not None)
        found = [(t.user_attrs["candidate"], t.user_attrs["outcome"]["cost"]) for t in islice(known, last)]
        return found[::-1]

    def seen(self, ordinal: int | None = None, besides: Set[int] = frozenset()) -> list[Seen]:
        """Return what a training may know of those before it, by ordinal; or, of no training, all that is known.

        Args:
            ordinal: that of the training; None for all that is known.
            besides: ordinals that are left out.
        """
        found = [
            self._seen[other] for other in sorted(self._seen.keys() - besides) if ordinal is None or other < ordinal
        ]
        if ordinal is None or not found:
            return found
        counting = set(self.order.counting(ordinal))
        return [one if one.ordinal in counting else one._replace(outcome=None) for one in found]

    def ended(self, ordinals: Iterable[int]) -> Iterator[Trial]:
        """Yield the trials of trainings that have ended, with what the front is made of."""
        trials = self.study.get_trials(deepcopy=False)
        for ordinal in ordinals:
            number = self.order[ordinal].number
            outcome = trials[number].user_attrs["outcome"]
            candidate = trials[number].user_attrs.get("candidate", {})
            yield Trial(number, outcome["state"], candidate, outcome["metrics"]).with_points(points_in(outcome))

    def begin_with(self, priors: Sequence[Prior]) -> None:
        """Queue candidates to be evaluated before any that the sampler proposes."""
        for prior in priors:
            pinned = {_PINNED: dict(prior.pinned)} if prior.pinned else {}
            self.study.enqueue_trial(dict(prior.answers), user_attrs={"prior": True, **pinned})
        self._read_order()

    def suggested(self, trial: optuna.Trial, space: Space) -> Candidate:
        """Return the candidate that a trial judges: a queued one may have what the space holds at another value."""
        return space.suggest(trial, trial.user_attrs.get(_PINNED, {}))

    def take_up(self) -> None:
        """Settle the trials of an earlier driver: record the end of those evaluated, queue the others again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._settle(trial)
        trials = self.study.get_trials(deepcopy=False)
        queued = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            if trial.user_attrs.get("outcome", {}).get("again") and trial.number not in queued:
                kept: dict[str, Any] = {
                    name: trial.user_attrs[name] for name in (_PINNED, PLACE) if name in trial.user_attrs
                }
                # one without a candidate is proposed again, as it was
                has_one = "candidate" in trial.user_attrs
                params = trial.params if has_one else trial.system_attrs.get("fixed_params", {})
                self.study.enqueue_trial(params, user_attrs={"retry_of": trial.number, **kept})
        self._read_order()

    def _settle(self, trial: optuna.trial.FrozenTrial) -> None:
        """Record the end of a trial that was running when its driver died."""
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
                traceback=outcome.get("traceback", ""),
                points=points_in(outcome),
            )
        else:
            self.tell(trial.number, "FAIL", "the driver died; judged again under another number", {}, again=True)

    def note_state(self, number: int, rule: str, state: Any) -> None:
        """Store the state of a stopping rule for a running trial, unless it is stored already."""
        if state is not None and self._noted.get((number, rule)) != state:
            self._running[number].set_user_attr(_state_attribute(rule), state)
            self._noted[number, rule] = state

    def states(self, rule: str) -> dict[int, Any]:
        """Return the states that a stopping rule stored, by ordinal; of a training, its last."""
        return {
            self.order.ordinal(trial.number): trial.user_attrs[_state_attribute(rule)]
            for trial in self.study.get_trials(deepcopy=False)
            if _state_attribute(rule) in trial.user_attrs
        }

    @property
    def unsettled(self) -> set[int]:
        """Numbers of the trials that a resumed search goes on with: they run, or are queued to be evaluated again."""
        trials = self.study.get_trials(deepcopy=False)
        taken_up = {trial.user_attrs.get("retry_of") for trial in trials if trial.state is not TrialState.WAITING}

        def goes_on(trial: optuna.trial.FrozenTrial) -> bool:
            outcome = trial.user_attrs.get("outcome")
            return trial.state is TrialState.RUNNING if outcome is None else bool(outcome.get("again"))

        return {trial.number for trial in trials if trial.number not in taken_up and goes_on(trial)}

    @property
    def queued(self) -> bool:
        """Whether trials are queued, which the sampler does not propose."""
        return bool(self._queue)

    @property
    def earlier(self) -> tuple[Trial, ...]:
        """Trials that have ended, with their points, in the order of their numbers."""
        return tuple(
            Trial(
                number=trial.number,
                candidate=trial.user_attrs.get("candidate", {}),
                state=trial.user_attrs["outcome"]["state"],
                reason=trial.user_attrs["outcome"]["reason"],
                metrics=trial.user_attrs["outcome"]["metrics"],
                epoch=trial.user_attrs["outcome"]["epoch"],
                again=trial.user_attrs["outcome"]["again"],
                traceback=trial.user_attrs["outcome"].get("traceback", ""),
                retry_of=trial.user_attrs.get("retry_of"),
            ).with_points(points_in(trial.user_attrs["outcome"]))
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        )

    @property
    def search_id(self) -> str:
        """The search's own id; empty where the journal has none."""
        return str(self.study.user_attrs["search"].get("id", ""))

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the trials that have not ended."""
        return tuple(self._running)


def _state_attribute(rule: str) -> str:
    """Return the attribute of a trial that holds a rule's state; that of halving is named as in the first version."""
    return "rungs" if rule == "halving" else f"stopping.{rule}"
