"""Steady-state evolution of the front: mutation and crossover of its members, in a conditional space.

A parent is a trial on the front, itself or by its network after fewer steps, drawn in proportion to its hypervolume
contribution, from what a tenth is worse than on each axis: most children come from where the front is thin, few from a
network at chance that spends nothing. A child is a parent with one or two hyperparameters changed, or takes each from
either of two. After Beume et al., "SMS-EMOA", European Journal of Operational Research 181 (2007), replace by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, Final

import moocore
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from spikefront.plugins import PINNED, Float, Int, Sampler, hookimpl
from spikefront.plugins.bases.history import History, history_of

_CHILDREN: Final = 50  # of which the first is taken that no trial has
_WORST: Final = 0.9  # quantile of what was measured, on each axis, from where contributions to the front are counted
_STEP: Final = 0.15  # standard deviation of a change near by, as a share of the range

Genes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EvolutionConfig:
    """Hyperparameters of the evolution."""

    startup: Annotated[int, Int(0, 10_000), PINNED] = 10
    """Trials that are drawn at random first."""
    random: Annotated[float, Float(0.0, 1.0), PINNED] = 0.15
    """Share of random draws afterwards."""
    crossover: Annotated[float, Float(0.0, 1.0), PINNED] = 0.3
    """Share of the children that have two parents."""
    second: Annotated[float, Float(0.0, 1.0), PINNED] = 0.3
    """Share of the mutated children of which two hyperparameters change."""


class FrontSampler(BaseSampler):
    """Optuna sampler that varies members of the front; a hyperparameter that no parent has comes from a good trial."""

    def __init__(self, config: EvolutionConfig, seed: int) -> None:
        self._config, self._seed, self._rng = config, seed, np.random.default_rng(seed)
        self._child: Genes = {}
        self._others: list[FrozenTrial] = []  # the finished trials, those of the front first

    @cached_property
    def _random(self) -> RandomSampler:
        return RandomSampler(seed=self._seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Draw a child. Which of its hyperparameters exist is known only when they are asked for."""
        history = history_of(study)  # this one is in it
        ended, self._child, self._others = history.complete, {}, []
        if history.count > self._config.startup and ended and self._rng.random() >= self._config.random:
            ranks, chances = _standing(history, study.directions)
            for _ in range(_CHILDREN):
                self._child = self._bred(*(ended[place] for place in self._rng.choice(len(ended), 2, p=chances)))
                if self._child not in history:
                    break
            order = np.lexsort((self._rng.random(len(ended)), ranks))
            self._others = [ended[place] for place in order.tolist()]
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the child's value, or else that of the best trial that has one, or else a random one."""
        for genes in chain([self._child], (other.params for other in self._others)):
            if param_name in genes and _holds(param_distribution, genes[param_name]):
                return genes[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _bred(self, one: FrozenTrial, other: FrozenTrial) -> Genes:
        if one is not other and self._rng.random() < self._config.crossover:
            pair = ({**other.params, **one.params}, {**one.params, **other.params})
            return {name: pair[self._rng.integers(2)][name] for name in pair[0]}
        child = dict(one.params)
        varied = [name for name, domain in one.distributions.items() if not domain.single()]
        changes = 2 if self._rng.random() < self._config.second else 1
        for name in self._rng.permutation(varied)[:changes].tolist():
            child[name] = _changed(one.distributions[name], child[name], self._rng)
        return child


def _standing(history: History, directions: Sequence[StudyDirection]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return Pareto ranks of finished trials, those beyond a limit last, and how probable each is as a parent."""
    count, (rows, owner) = len(history.complete), history.with_points()
    within = rows[:, -1] == rows[:, -1].min()
    losses = rows[within, :-1] * [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    ranks, weights, found = np.full(count, len(owner)), np.zeros(count), moocore.pareto_rank(losses)
    np.minimum.at(ranks, owner[within], found)
    gains = moocore.hv_contributions(losses[found == 0], ref=np.quantile(losses, _WORST, axis=0))
    np.add.at(weights, owner[within][found == 0], gains.clip(min=0))
    weights = weights if weights.any() else np.where(ranks == 0, 1.0, 0.0)
    return ranks, weights / weights.sum()


def _holds(domain: BaseDistribution, value: Any) -> bool:
    if isinstance(domain, CategoricalDistribution):
        return value in domain.choices
    assert isinstance(domain, FloatDistribution | IntDistribution)
    return bool(domain.low <= value <= domain.high)


def _changed(domain: BaseDistribution, value: Any, rng: np.random.Generator) -> Any:
    """Return another value of a domain: half of the numbers from its whole range, the others from near by."""
    if isinstance(domain, CategoricalDistribution):
        others = [choice for choice in domain.choices if choice != value]
        return others[rng.integers(len(others))]
    assert isinstance(domain, FloatDistribution | IntDistribution)
    scale, back = (math.log, math.exp) if domain.log else (float, float)
    low, span, drawn = scale(domain.low), scale(domain.high) - scale(domain.low), value
    while drawn == value:
        near = abs((scale(value) - low) / span + rng.normal(scale=_STEP))  # reflected at both ends
        drawn = back(low + span * (rng.uniform() if rng.random() < 0.5 else 1 - abs(1 - near % 2)))
        if domain.step is not None:
            drawn = domain.low + round((drawn - domain.low) / domain.step) * domain.step
        drawn = type(domain.low)(min(max(drawn, domain.low), domain.high))
    return drawn


class Evolution(Sampler):
    """Steady-state evolution: members of the front are varied where the front is thin."""

    name = "evolution"
    Config = EvolutionConfig
    config: EvolutionConfig

    def make(self, seed: int) -> BaseSampler:
        return FrontSampler(self.config, seed)


@hookimpl
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    register(Evolution)
