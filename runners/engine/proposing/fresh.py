"""Sampler that proposes no candidate twice while there are others."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from spikefront.runners.engine.memory.journal import JournalError
from spikefront.runners.engine.proposing.sampler_warnings import SamplerWarnings
from spikefront.runners.engine.proposing.shares import Shares
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.failures import one_line
from spikefront.searchspace import Candidate, Space, Value

DRAWS: Final = 32
_PROPOSALS: Final = 4

_log = logging.getLogger(__name__)


class Proposal:
    """Draft of an Optuna trial, of which the study has no record.

    Args:
        ask: returns a value for a parameter, from its name and domain.
        trial: the trial that it is for; a copy has the parameters drawn so far, as a trial of Optuna's has.
        given: values that are not drawn, by name.

    Attributes:
        candidate: what was drawn.
        values: the parameters by name.
        distributions: their domains.
    """

    candidate: Candidate

    def __init__(
        self,
        ask: Callable[[FrozenTrial, str, BaseDistribution], Any],
        trial: FrozenTrial,
        given: Mapping[str, Value] = MappingProxyType({}),
    ) -> None:
        self._ask = ask
        self.given = dict(given)
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
            is_given = name in self.given
            self.values[name] = self.given[name] if is_given else self._ask(self._trial, name, domain)
            self.distributions[name] = domain
            self._trial.params = self.values
            self._trial.distributions = self.distributions
        return self.values[name]


class FreshSampler(BaseSampler):
    """Wrapper of a sampler that takes its first proposal which no trial has tried.

    For each training there is a new sampler, with a seed of its own, which sees the study as ``Shown`` has it: so a
    proposal depends on nothing but the seed of the search, the ordinal and the results that count.

    It may propose four times for a training; after that candidates are drawn at random, and where all of these were
    tried as well, as in a small space, one that was not is looked up. A sampler that raises is left out from then on:
    candidates are drawn at random.

    Args:
        make: returns a sampler for a seed.
        space: what is searched.
        shown: the study, as samplers see it.
        seed: seed of the search.
        untried: the candidates that are left; of the space when None.
        name: name of the sampler, for messages.
        one: whether one sampler, with the seed of the search, serves all of it.
        shares: what the codings have had, of which the one with the least is next; None for any coding.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        space: Space,
        shown: Shown,
        seed: int = 0,
        untried: Untried | None = None,
        name: str = "",
        one: bool = False,
        shares: Shares | None = None,
    ) -> None:
        self._make = make
        self._space = space
        self._shown = shown
        self._seed = seed
        self._untried = untried or Untried(space)
        self._one = one
        self._shares = shares
        self._coding = ""  # that the candidate is to have
        self._inner: BaseSampler | None = None  # None until there is one, or when it is left out
        self._is_left_out = shown.left_out
        self._ordinal = 0  # of the training that is proposed for
        self._at_random: RandomSampler | None = None  # its own, once it is needed
        self._name = name
        self._quietly = SamplerWarnings(name)
        self._chosen: Proposal | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._chosen = None
        if trial.system_attrs.get("fixed_params"):  # it was queued, and there is nothing to propose
            return {}
        ordinal = self._shown.record.order.ordinal(trial.number)
        self._begin(ordinal)
        self._shown.advance(ordinal, partial(self._hook, "after_trial"))
        own = self._shown.own(ordinal)
        self._untried.read(self._shown.record.seen(ordinal, self._untried.settled))
        self._hook("before_trial", self._shown.study, own)
        self._chosen = self._next(self._shown.study, own)
        self._shown.keep(trial.number, self._is_left_out)
        return self._chosen.distributions

    @property
    def _random(self) -> RandomSampler:
        if self._at_random is None:
            self._at_random = RandomSampler(seed=seed_of(self._seed, self._ordinal, 1))
        return self._at_random

    def _begin(self, ordinal: int) -> None:
        """Begin a training: make the sampler that proposes for it."""
        self._ordinal, self._at_random = ordinal, None
        if not self._is_left_out and (self._inner is None or not self._one):
            try:
                with self._quietly():
                    self._inner = self._make(self._seed if self._one else seed_of(self._seed, ordinal, 0))
            except Exception as error:
                self._leave_out(error)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {} if self._chosen is None else self._chosen.values

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw at random what a queued trial lacks."""
        sampler = RandomSampler(
            seed=seed_of(self._seed, self._shown.record.order.ordinal(trial.number), 2, len(trial.params))
        )
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _next(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """Return the proposal that a trial evaluates: of the first coding that has one which was not tried."""
        for coding in [""] if self._shares is None else self._shares.least_first(trial.number):
            self._coding = coding
            proposal = self.choose(study, trial)
            if proposal.candidate in self._untried:
                return proposal
        return self.left(trial) or proposal

    def choose(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """Return the first proposal that was not tried, or the last one."""
        for number in range(DRAWS):
            proposal = self.propose(study, trial, number)
            if proposal.candidate in self._untried:
                break
        return proposal

    def propose(self, study: optuna.Study, trial: FrozenTrial, number: int) -> Proposal:
        """Return the proposal of this number: the first are the sampler's, the others random.

        Random ones take less time, and go where the sampler does not.
        """
        if number < _PROPOSALS and self._inner is not None:
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
        answers, self._coding = self._untried.first(), ""
        return None if answers is None else self._made(lambda _, name, domain: answers[name], trial)

    def _made(self, ask: Callable[[FrozenTrial, str, BaseDistribution], Any], trial: FrozenTrial) -> Proposal:
        proposal = Proposal(ask, trial, {"coding": self._coding} if self._coding else {})
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
        self._inner, self._is_left_out = None, True

    def _hook(self, name: str, study: optuna.Study, *args: Any) -> None:
        if self._inner is None:
            return
        try:
            with self._quietly():
                getattr(self._inner, name)(study, *args)
        except Exception as error:
            if "Study.stop" not in str(error):  # one with a list of its own ends a loop of Optuna's; there is none
                self._leave_out(error)


def seed_of(*path: int) -> int:
    """Return a seed for random draws that belong to this path of numbers, all of them 0 or more."""
    return int(np.random.SeedSequence(path).generate_state(1)[0])
