"""The study as the proposal of one training may see it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from spikefront.runners.engine.memory.study import StudyRecord

After = Callable[[optuna.Study, FrozenTrial, TrialState, Sequence[float] | None], None]

_LEFT_OUT: Final = "left_out"
_OURS: Final = ("fixed_params", "constraints", _LEFT_OUT)
"""What system attributes of the search's own trials begin with, which no sampler has set."""


class Shown:
    """Study in memory with the trainings of a search, numbered by their ordinals.

    For each ordinal it has all trainings before: those whose results count have ended, and the others run, even if the
    search knows their ends already. What samplers have stored with the study and its trials is there as well.

    Args:
        record: the study of the search.

    Attributes:
        record: the study of the search.
        study: the study that samplers see.
        left_out: whether the sampler of the search failed.
    """

    def __init__(self, record: StudyRecord) -> None:
        self.record = record
        self._passive = _Passive()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(directions=record.study.directions, sampler=self._passive)
        self._known: Sequence[FrozenTrial] = ()  # trials of the search, as of the last ``advance``
        self._trials: list[optuna.Trial] = []
        self._filled = 0  # of these many, candidate and parameters are there
        self._ended: set[int] = set()
        self.left_out = any(_LEFT_OUT in trial.system_attrs for trial in record.study.get_trials(deepcopy=False))
        for key, value in self._attributes(record.study).items():
            self.study._storage.set_study_system_attr(self.study._study_id, key, value)

    @property
    def trials(self) -> list[FrozenTrial]:
        """The trainings so far, by ordinal."""
        return self.study.get_trials(deepcopy=False)

    def advance(self, ordinal: int, after: After | None = None) -> None:
        """Show what is known when a training is begun.

        Args:
            ordinal: its ordinal, no less than any before.
            after: called when a trial has ended, before the study knows.
        """
        known = self._known = self.record.study.get_trials(deepcopy=False)
        self._begin(ordinal)
        for other in range(self._filled, ordinal):
            self._fill(other, known[self.record.order[other].number])
        self._filled = max(self._filled, ordinal)
        self._passive.after = after
        for other in self.record.order.counting(ordinal):
            if other not in self._ended:
                self._ended.add(other)
                self._end(other, known[self.record.order[other].number])

    def own(self, ordinal: int) -> FrozenTrial:
        """Return the trial of a training that is about to be proposed, to which ``advance`` came."""
        self._begin(ordinal + 1)
        return self.trials[ordinal]

    def keep(self, number: int, left_out: bool = False) -> None:
        """Store in the journal what a sampler has stored with the study, or with the trial of this number.

        Args:
            number: the trial's number.
            left_out: whether the sampler has failed, and is left out from this trial on.
        """
        study, order = self.record.study, self.record.order
        for key, value in self._attributes(self.study).items():
            if self._attributes(study).get(key) != value:
                study._storage.set_study_system_attr(study._study_id, key, value)
        trial = self._known[number]
        for key, value in self.trials[order.ordinal(number)].system_attrs.items():
            study._storage.set_trial_system_attr(trial._trial_id, key, value)
        if left_out and not self.left_out:
            self.left_out = True
            study._storage.set_trial_system_attr(trial._trial_id, _LEFT_OUT, True)

    @staticmethod
    def _attributes(study: optuna.Study) -> dict[str, Any]:
        return study._storage.get_study_system_attrs(study._study_id)

    def _begin(self, count: int) -> None:
        """Begin trials until there are so many."""
        while len(self._trials) < count:
            ordinal = len(self._trials)
            trial = self.study.ask()
            self._trials.append(trial)
            if ordinal < len(self.record.order):
                for key, value in self._known[self.record.order[ordinal].first].system_attrs.items():
                    if not key.startswith(_OURS):
                        trial.storage.set_trial_system_attr(trial._trial_id, key, value)

    def _fill(self, ordinal: int, known: FrozenTrial) -> None:
        trial = self._trials[ordinal]
        for name, value in known.params.items():
            domain = known.distributions[name]
            trial.storage.set_trial_param(trial._trial_id, name, domain.to_internal_repr(value), domain)
        trial.set_user_attr("candidate", known.user_attrs["candidate"])

    def _end(self, ordinal: int, known: FrozenTrial) -> None:
        trial = self._trials[ordinal]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            for name, violation in known.constraints.items():
                trial.set_constraint(name, violation)
        outcome = known.user_attrs["outcome"]
        trial.set_user_attr("outcome", outcome)
        trial.set_user_attr("points", self.record.standing(outcome))
        values = known.values if known.state is TrialState.COMPLETE else None
        self.study.tell(trial, values, known.state)


class _Passive(BaseSampler):
    """Sampler of a study whose parameters are all set from outside."""

    after: After | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is set by whoever shows the trial")

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        if self.after is not None:
            self.after(study, trial, state, values)
