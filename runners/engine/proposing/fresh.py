"""Sampler that proposes no candidate twice while there are others."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from spikefront.runners.engine.memory.journal import JournalError
from spikefront.runners.engine.proposing.sampler_warnings import SamplerWarnings
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.failures import one_line
from spikefront.searchspace import Candidate, Space

DRAWS: Final = 32
_PROPOSALS: Final = 4

_log = logging.getLogger(__name__)


class Proposal:
    """Draft of an Optuna trial, of which the study has no record.

    Args:
        ask: returns a value for a parameter, from its name and domain.
        trial: the trial that it is for; a copy has the parameters drawn so far, as a trial of Optuna's has.

    Attributes:
        candidate: what was drawn.
        values: the parameters by name.
        distributions: their domains.
    """

    candidate: Candidate

    def __init__(self, ask: Callable[[FrozenTrial, str, BaseDistribution], Any], trial: FrozenTrial) -> None:
        self._ask = ask
        self._trial = copy.copy(trial)
        self.values: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._suggest(name, FloatDistribution(low, high, step=step, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._suggest(name, IntDistribution(low, high, step=step, log=log)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._suggest(name, CategoricalDistribution(choices))

    def _suggest(self, name: str, domain: BaseDistribution) -> Any:
        if name not in self.values:
            self.values[name] = self._ask(self._trial, name, domain)
            self.distributions[name] = domain
            self._trial.params = self.values
            self._trial.distributions = self.distributions
        return self.values[name]


class FreshSampler(BaseSampler):
    """Wrapper of a sampler that takes its first proposal which no trial has tried.

    It may propose four times for a trial; after that candidates are drawn at random, and where all of these were tried
    as well, as in a small space, one that was not is looked up. A sampler that raises is left out from then on:
    candidates are drawn at random.

    Args:
        inner: the sampler that proposes.
        space: what is searched.
        seed: seed of the random draws.
        untried: the candidates that are left; of the space when None.
        name: name of the sampler, for messages.
    """

    def __init__(
        self, inner: BaseSampler, space: Space, seed: int = 0, untried: Untried | None = None, name: str = ""
    ) -> None:
        self._inner = inner
        self._space = space
        self._untried = untried or Untried(space)
        self._random = RandomSampler(seed=seed)
        self._name = name or type(inner).__name__
        self._quietly = SamplerWarnings(self._name)
        self._chosen: Proposal | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._chosen = None
        if "fixed_params" in trial.system_attrs:  # it was queued, and there is nothing to propose
            return {}
        self._untried.read(study.get_trials(deepcopy=False))
        self._chosen = self.choose(study, trial)
        return self._chosen.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {} if self._chosen is None else self._chosen.values

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        try:
            with self._quietly():
                return self._inner.sample_independent(study, trial, param_name, param_distribution)
        except Exception as error:
            self._leave_out(error)
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def choose(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """Return the proposal that a trial evaluates."""
        for number in range(DRAWS):
            proposal = self.propose(study, trial, number)
            if proposal.candidate in self._untried:
                return proposal
        return self.left(trial) or proposal

    def propose(self, study: optuna.Study, trial: FrozenTrial, number: int) -> Proposal:
        """Return the proposal of this number: the first are the sampler's, the others random.

        Random ones take less time, and go where the sampler does not.
        """
        if number < _PROPOSALS and self._inner is not self._random:
            try:
                with self._quietly():
                    return self.draw(study, trial, self._inner)
            except Exception as error:
                self._leave_out(error)
        return self.draw(study, trial, self._random)

    def draw(self, study: optuna.Study, trial: FrozenTrial, sampler: BaseSampler) -> Proposal:
        """Return a proposal of a sampler."""
        joint = sampler.infer_relative_search_space(study, trial)
        values = sampler.sample_relative(study, trial, joint)

        def ask(so_far: FrozenTrial, name: str, domain: BaseDistribution) -> Any:
            if name in values and joint[name] == domain:
                return values[name]
            return sampler.sample_independent(study, so_far, name, domain)

        return self._made(ask, trial)

    def left(self, trial: FrozenTrial) -> Proposal | None:
        """Return a candidate that no trial has tried, or None where all candidates of the space are tried."""
        answers = self._untried.first()
        return None if answers is None else self._made(lambda _, name, domain: answers[name], trial)

    def _made(self, ask: Callable[[FrozenTrial, str, BaseDistribution], Any], trial: FrozenTrial) -> Proposal:
        proposal = Proposal(ask, trial)
        proposal.candidate = self._space.suggest(proposal)
        return proposal

    def _leave_out(self, error: Exception) -> None:
        if isinstance(error, JournalError):
            raise error
        _log.warning(
            "sampler %s failed and is left out; from now on candidates are drawn at random: %s",
            self._name,
            one_line(error),
        )
        self._inner = self._random

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._hook(self._inner.before_trial, study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._hook(self._inner.after_trial, study, trial, state, values)

    def _hook(self, hook: Callable[..., None], study: optuna.Study, *args: Any) -> None:
        try:
            with self._quietly():
                hook(study, *args)
        except Exception as error:
            if "Study.stop" not in str(error):  # one with a list of its own ends a loop of Optuna's; there is none
                self._leave_out(error)

    def reseed_rng(self) -> None:
        self._inner.reseed_rng()
