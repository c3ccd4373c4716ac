"""Sampler that prefers what the search can afford, when candidates differ in cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.searchspace import Candidate, Space, Value

_DRAWS_OF_A_CODING: Final = 4
_DRAWS: Final = 32
_PROPOSALS: Final = 4
_SLACK: Final = 1.1  # on a prediction, which is off by a factor of about 1.3 in most cases

_Key = frozenset[tuple[str, Value]]


class AffordableSampler(BaseSampler):
    """Wrapper of a sampler that draws several proposals, and takes one that the search can afford.

    - The first ``startup`` trials take the codings in turn: of four random candidates of a coding the cheapest.
    - Afterwards the sampler's first proposal is taken, unless it was evaluated before, or would not be ready within
      ``room_s``: by the end of the search's time or, of the last trials, before the others have ended. Then it
      proposes again, four times in all; after that candidates are drawn at random, and if none fits, the cheapest is
      taken.

    Costs are predictions of a ``CostModel``. That cheap trials come first is after Lee et al. 2020, "Cost-aware
    Bayesian Optimization"; theirs spreads the first candidates over the space, ours over the codings.

    Args:
        inner: the sampler that proposes.
        space: what is searched.
        cost: predicts the seconds of a candidate.
        room_s: seconds within which a candidate should be evaluated, which may be infinite.
        startup: how many trials the cheap start has.
        seed: seed of the cheap start.
    """

    def __init__(
        self,
        inner: BaseSampler,
        space: Space,
        cost: CostModel,
        room_s: Callable[[], float],
        startup: int = 10,
        seed: int = 0,
    ) -> None:
        self._inner = inner
        self._space = space
        self._cost = cost
        self._room_s = room_s
        self._startup = startup
        self._random = RandomSampler(seed=seed)
        self._seen: dict[int, _Key] = {}  # candidates by the number of their trial
        self._chosen = _Proposal(lambda *_: None)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._chosen = _Proposal(lambda *_: None)
        if "fixed_params" not in trial.system_attrs:  # else it was queued, and there is nothing to propose
            self._note_candidates(study)
            propose = self._cheap if len(self._seen) < self._startup else self._fitting
            self._chosen = propose(study, trial)
        return self._chosen.distributions

    def _note_candidates(self, study: optuna.Study) -> None:
        for other in study.get_trials(deepcopy=False):
            if other.number not in self._seen and "candidate" in other.user_attrs:
                self._seen[other.number] = frozenset(other.user_attrs["candidate"].items())

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._chosen.values

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def _cheap(self, study: optuna.Study, trial: FrozenTrial) -> _Proposal:
        """Draw candidates of the coding that was tried least, and return the cheapest."""
        tried = Counter(str(dict(key)["coding"]) for key in self._seen.values())
        drawn = [self._draw(study, trial, self._random) for _ in range(_DRAWS)]
        least = min(drawn, key=lambda one: tried[one.candidate.coding.name]).candidate.coding.name
        same = [one for one in drawn if one.candidate.coding.name == least]
        return min(same[:_DRAWS_OF_A_CODING], key=lambda one: self._cost.predict(one.candidate))

    def _fitting(self, study: optuna.Study, trial: FrozenTrial) -> _Proposal:
        """Return the first proposal that is new and fits, or the cheapest of those that were drawn."""
        room, seen = self._room_s(), set(self._seen.values())
        drawn = []
        for number in range(_DRAWS):
            # random ones cost less to draw, and go where the sampler doesn't
            proposal = self._draw(study, trial, self._inner if number < _PROPOSALS else self._random)
            drawn.append(proposal)
            new = frozenset(proposal.candidate.flat().items()) not in seen
            if new and (math.isinf(room) or self._fits(proposal.candidate, room)):
                return proposal
        return min(drawn, key=lambda one: self._cost.predict(one.candidate))

    def _fits(self, candidate: Candidate, room: float) -> bool:
        seconds = self._cost.predict(candidate)
        return math.isinf(seconds) or seconds * _SLACK <= room  # a candidate of unknown cost is not left out

    def _draw(self, study: optuna.Study, trial: FrozenTrial, sampler: BaseSampler) -> _Proposal:
        joint = sampler.infer_relative_search_space(study, trial)
        values = sampler.sample_relative(study, trial, joint)

        def ask(name: str, domain: BaseDistribution) -> Any:
            if name in values and joint[name] == domain:
                return values[name]
            return sampler.sample_independent(study, trial, name, domain)

        proposal = _Proposal(ask)
        proposal.candidate = self._space.suggest(proposal)
        return proposal

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._inner.reseed_rng()


class _Proposal:
    """Draft of an Optuna trial, of which the study has no record."""

    candidate: Candidate

    def __init__(self, ask: Callable[[str, BaseDistribution], Any]) -> None:
        self._ask = ask
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
            self.values[name] = self._ask(name, domain)
            self.distributions[name] = domain
        return self.values[name]
