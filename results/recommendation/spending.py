"""Allocation of trainings to candidates by top-two Thompson sampling, and what the repeats then say of codings.

Pure functions of draws of the posterior of the candidates' means, as ``verdicts.posterior_draws`` returns them. Several
candidates may be of one group, such as a coding; a group is worth as much as the best of its candidates, and which one
that is, is open in each draw. The best of several means, taken before the draws, would be too good.

Looking at the repeats after each training, and ending when some probability is large enough, finds a best one among
equals the more often, the longer it goes on: with ``P >= 0.95`` in 40 % of runs of two equal candidates with at most 20
trainings each, where 10 % were meant. The level that ends a run early therefore falls from near 1 to ``LEVEL`` at the
end of the budget, as the boundary of a group-sequential test does (O'Brien and Fleming, Biometrics 35, 1979). However
often is looked, a Brownian motion passes it in 5 % of cases a side: by the reflection principle twice as often as it is
beyond it at the end. ``benchmarks/recommend.py`` measures what comes of it for few seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from spikefront.results.verdicts import Floats

BOUNDARY: Final = 1.959964
"""Quantile of the standard normal distribution that the posterior has to pass at the end of the budget, where it is
that of ``LEVEL``."""
TIED: Final = 0.05
"""Least probability of being the best with which a group ties with the likeliest one."""
CONFIDENCE: Final = 0.9
"""Of the intervals of leads."""
_REDRAWS: Final = 100


def level(share: float) -> float:
    """Return the probability of being the best at which trainings may end.

    Args:
        share: of the budget that is spent, from 0 to 1.

    Returns:
        ``Phi(BOUNDARY / sqrt(share))``; 1 before anything is spent, ``LEVEL`` at the end.
    """
    if share <= 0:
        return 1.0
    return 0.5 * math.erfc(-BOUNDARY / math.sqrt(2 * min(share, 1.0)))


def top_two(
    draws: ArrayLike, groups: Sequence[int], random: np.random.Generator, batch: int = 1, candidates: ArrayLike = True
) -> list[int]:
    """Return the candidates to be trained next, by top-two Thompson sampling (Russo, COLT 2016).

    The leader of a draw is trained with probability 1/2; otherwise the leader of the first further draw in which that
    is of another group. Where 100 draws have none, it is the leader itself.

    Args:
        draws: of the means, shape ``(draws, candidates)``.
        groups: that of each candidate.
        random: source of randomness.
        batch: how many are trained at a time; one may come up more than once.
        candidates: which may be chosen, shape ``(candidates,)``.
    """
    mu = np.where(np.asarray(candidates, dtype=bool), np.asarray(draws, dtype=np.float64), -np.inf)
    leaders, of = mu.argmax(axis=1), np.asarray(groups)

    def draw() -> int:
        return int(leaders[random.integers(len(leaders))])

    chosen = []
    for _ in range(batch):
        leader = draw()
        if random.random() >= 0.5:
            others = (draw() for _ in range(_REDRAWS))
            leader = next((other for other in others if of[other] != of[leader]), leader)
        chosen.append(leader)
    return chosen


@dataclass(frozen=True, slots=True)
class Standing:
    """What draws say of groups of candidates.

    Attributes:
        probabilities: that each group is the best, shape ``(groups,)``; NaN where the draws are.
        best: the likeliest group; where none is likelier, the one with the larger mean.
        lead: by how much its best candidate is ahead of the best of all others, on average; NaN of one group.
        low: lower end of the interval of that lead.
        high: its upper end.
        rival: the likeliest of the other groups; None of one group.
    """

    probabilities: Floats
    best: int
    lead: float
    low: float
    high: float
    rival: int | None


def standing(draws: ArrayLike, groups: Sequence[int], candidates: ArrayLike = True) -> Standing:
    """Return how surely which group has the best candidate, and by how much it leads.

    Args:
        draws: of the means, shape ``(draws, candidates)``.
        groups: that of each candidate, from 0.
        candidates: which of them count, shape ``(candidates,)``, at least one; a group without any is never the best.
    """
    mu = np.where(np.asarray(candidates, dtype=bool), np.asarray(draws, dtype=np.float64), -np.inf)
    of = np.asarray(groups)
    number = int(of.max()) + 1
    best_of = np.stack([mu[:, of == group].max(axis=1, initial=-np.inf) for group in range(number)], axis=1)
    if np.isnan(best_of).any():
        unknown = np.full(number, np.nan)
        return Standing(unknown, 0, math.nan, math.nan, math.nan, 1 if number > 1 else None)
    largest = best_of == best_of.max(axis=1, keepdims=True)
    probabilities: Floats = (largest / largest.sum(axis=1, keepdims=True)).mean(axis=0)
    order = np.lexsort((-best_of.mean(axis=0).round(12), -probabilities))
    order = order[np.isfinite(best_of.mean(axis=0)[order])]
    best = int(order[0])
    if len(order) == 1:
        return Standing(probabilities, best, math.nan, math.nan, math.nan, None)
    ahead = best_of[:, best] - np.delete(best_of, best, axis=1).max(axis=1)
    low, high = np.quantile(ahead, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Standing(probabilities, best, float(ahead.mean()), float(low), float(high), int(order[1]))


def tied(found: Standing, share: float, near: ArrayLike = False) -> list[int]:
    """Return the groups among which the best one is; one alone where it is decided.

    Args:
        found: what ``standing`` returned.
        share: of the budget that is spent, from 0 to 1: the less, the surer it has to be, see ``level``.
        near: which groups count as equally good whatever their probability, shape ``(groups,)``.

    Returns:
        The best group first, then the others by their probabilities; all of them where nothing is known.
    """
    p, alike = found.probabilities, np.broadcast_to(np.asarray(near, dtype=bool), found.probabilities.shape)
    others = [int(group) for group in np.argsort(-p, kind="stable") if group != found.best]
    if np.isnan(p).any():
        return [found.best, *others]
    is_sure = p[found.best] >= level(share)
    kept = [group for group in others if alike[group] or (not is_sure and p[group] >= TIED)]
    if not is_sure and not kept and found.rival is not None:
        kept = [found.rival]
    return [found.best, *kept]
