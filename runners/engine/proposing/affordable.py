"""Sampler that prefers what the search can afford, when candidates differ in cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Final

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.fresh import DRAWS, FreshSampler, Proposal, seed_of
from spikefront.runners.engine.proposing.shares import Shares
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.searchspace import Candidate, Space, Value
from spikefront.searchspace.answers import suggested_by
from spikefront.searchspace.domains import Domain, held

STARTUP: Final = 10
_DRAWS_OF_A_CODING: Final = 4
_DEFAULTS: Final = 0.5
_SLACK: Final = 1.1  # on a prediction, which is off by a factor of about 1.3 in most cases


class AffordableSampler(FreshSampler):
    """Wrapper of a sampler that draws several proposals, and takes one that is new and that the search can afford.

    - The first ``startup`` trials take the codings in turn: of four candidates of a coding, half of whose
      hyperparameters have their default, the cheapest.
    - Afterwards the sampler's first proposal is taken, unless it was tried before, or would not be ready within
      ``room_s``: by the end of the search's time or, of the last trials, before the others have ended. Then it
      proposes again, four times in all; after that candidates are drawn at random, and if none fits, the cheapest new
      one is taken.

    Costs are predictions of a ``CostModel``. That cheap trials come first is after Lee et al. 2020, "Cost-aware
    Bayesian Optimization"; theirs spreads the first candidates over the space, ours over the codings.

    Args:
        make: returns a sampler for a seed.
        space: what is searched.
        shown: the study, as samplers see it.
        cost: predicts the seconds of a candidate.
        room_s: seconds within which a candidate should be evaluated, which may be infinite.
        startup: how many trials the cheap start has; one of each coding, where there are more codings.
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
        cost: CostModel,
        room_s: Callable[[], float],
        startup: int = STARTUP,
        seed: int = 0,
        untried: Untried | None = None,
        name: str = "",
        one: bool = False,
        shares: Shares | None = None,
    ) -> None:
        super().__init__(make, space, shown, seed, untried, name, one, shares)
        self._cost = cost
        self._room_s = room_s
        self._startup = max(startup, len(space.codings)) if startup else 0

    def choose(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """Return a cheap proposal at the start, and one that fits afterwards."""
        cheap = self._cheap(study, trial) if trial.number < self._startup else None
        return cheap or self._fitting(study, trial)

    def _cheap(self, study: optuna.Study, trial: FrozenTrial) -> Proposal | None:
        """Draw new candidates of the coding that was tried least, and return the cheapest; None if none is new."""
        rng = np.random.default_rng(seed_of(self._seed, trial.number, 3))
        tried = Counter(other.user_attrs["candidate"]["coding"] for other in self._shown.trials[: trial.number])
        codings = [self._coding] if self._coding else rng.permutation(self._space.codings).tolist()
        coding = min(codings, key=lambda name: tried[name])
        drawn = (self._near_defaults(study, trial, coding, rng) for _ in range(DRAWS))
        new = list(islice((one for one in drawn if one.candidate in self._untried), _DRAWS_OF_A_CODING))
        return min(new, key=lambda one: self._cost.predict(one.candidate), default=None)

    def _near_defaults(
        self, study: optuna.Study, trial: FrozenTrial, coding: str, rng: np.random.Generator
    ) -> Proposal:
        """Draw a candidate half of whose hyperparameters have their default; no T suits all codings."""
        proposal = Proposal(
            lambda so_far, name, domain: self._random.sample_independent(study, so_far, name, domain),
            trial,
            {"coding": coding},
        )
        suggested = suggested_by(proposal)

        def ask(name: str, domain: Domain, default: Value) -> Value:
            if name.partition("|")[0] not in ("coding", "steps") and rng.random() < _DEFAULTS:
                proposal.given[name] = held(domain, default)
            return suggested(name, domain, default)

        proposal.candidate = self._space.walk(ask)
        return proposal

    def _fitting(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """Return the first proposal that is new and fits, or the cheapest of the new ones that were drawn."""
        room = self._room_s()
        new = []
        for number in range(DRAWS):
            proposal = self.propose(study, trial, number)
            if proposal.candidate in self._untried:
                if math.isinf(room) or self._fits(proposal.candidate, room):
                    return proposal
                new.append(proposal)
        if not new:
            return proposal
        return min(new, key=lambda one: self._cost.predict(one.candidate))

    def _fits(self, candidate: Candidate, room: float) -> bool:
        seconds = self._cost.predict(candidate)
        return math.isinf(seconds) or seconds * _SLACK <= room  # a candidate of unknown cost is not left out
