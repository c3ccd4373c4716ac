"""Evidence on which coding is the best: candidates with their repeats, and what these say within limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikefront.results.confirmed import spread_of
from spikefront.results.recommendation.candidates import good_enough, overstepped
from spikefront.results.recommendation.spending import Standing, level, standing, tied, top_two
from spikefront.results.verdicts import LEVEL, Floats, paired_differences, posterior_draws, seeds_for
from spikefront.searchspace.objectives import ENERGY, LATENCY, Limits, Objective
from spikefront.searchspace.records import Spread
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_quality

START: Final = 3
"""Seeds under which every candidate is trained before seeds go to those that are hard to tell apart."""
FAILURES: Final = 2
"""Failed trainings with which a candidate is left out."""

Right = NDArray[np.bool_]
"""Which samples of a split were classified correctly, shape ``(samples,)``."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A candidate with its repeats under fresh seeds.

    Attributes:
        trial: its trial, with what the search measured.
        repeats: metrics on the validation split by seed, trained on the training split alone.
        test: metrics on the test split by seed, trained on training and validation split.
        right: which samples of the validation split each repeat classified correctly, by seed; empty where quality is
            not an accuracy.
        failed: why each seed failed, by seed.
    """

    trial: Trial
    repeats: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    test: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    right: Mapping[int, Right] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its trial."""
        return self.trial.name

    @property
    def seeds(self) -> list[int]:
        """The seeds of its repeats, in their order."""
        return sorted(self.repeats)

    @property
    def qualities(self) -> list[float]:
        """Quality of each repeat, in the order of the seeds."""
        return [self.repeats[seed]["quality"] for seed in self.seeds]

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the repeats; without any, what the search measured."""
        values = [found[metric] for found in self.repeats.values() if metric in found]
        return float(np.mean(values)) if values else self.trial.metrics.get(metric, math.nan)

    @property
    def costs(self) -> dict[str, float]:
        """Mean energy and latency, over the repeats."""
        return {axis.metric: self.mean(axis.metric) for axis in (ENERGY, LATENCY)}

    def out(self, limits: Limits) -> str:
        """Return why it can't be recommended, as the end of a sentence; empty where it can.

        Its energy under fresh seeds is not that of the search: the mean over the seeds has to keep to the limits.
        """
        if len(self.failed) >= FAILURES and len(self.failed) >= len(self.repeats):
            return f"failed under {len(self.failed)} seeds ({next(iter(self.failed.values()))})"
        broken = overstepped(self.costs, limits)
        return f"{broken}, over {len(self.repeats)} seeds" if broken and self.repeats else broken


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says of the codings within limits.

    Attributes:
        limits: the limits.
        standing: how surely which coding is the best.
        codings: their names, in the order of ``standing.probabilities``.
        arms: the candidates that count.
        tied: the codings among which the best one is, the likeliest first; one alone where it is decided.
        winner: the candidate that is recommended: the best one's, or of those tied the one that costs least.
        best: candidate of each coding with the largest mean.
        delta: the lead below which two codings count as equally good.
    """

    limits: Limits
    standing: Standing
    codings: Sequence[str]
    arms: Sequence[Arm]
    tied: Sequence[str]
    winner: Arm
    best: Mapping[str, Arm]
    delta: float

    @property
    def decided(self) -> bool:
        """Whether one coding is the best, surely."""
        return len(self.tied) == 1 and not math.isnan(self.probability)

    @property
    def leader(self) -> Arm:
        """The candidate of the likeliest coding."""
        return self.best[self.codings[self.standing.best]]

    @property
    def rival(self) -> Arm | None:
        """The candidate of the likeliest other coding; None where there is no other."""
        return None if self.standing.rival is None else self.best[self.codings[self.standing.rival]]

    @property
    def probability(self) -> float:
        """That the leader's coding is the best."""
        return float(self.standing.probabilities[self.standing.best])

    def probability_of(self, coding: str) -> float:
        """Return how surely a coding is the best; 0 of one without a candidate that counts."""
        known = dict(zip(self.codings, self.standing.probabilities, strict=True))
        return float(known.get(coding, 0.0))

    @property
    def more(self) -> int | None:
        """Further trainings, of the leader and its rival together, with which a paired test would tell them apart.

        With a power of 0.8 at the level of the verdict, were the difference and its spread those measured; None where
        it is decided, or no affordable number would do.
        """
        if self.decided or self.rival is None:
            return None
        one, other = self.leader.repeats, self.rival.repeats
        seeds = sorted(one.keys() & other.keys())
        differences = paired_differences(*([of[seed]["quality"] for seed in seeds] for of in (one, other)))
        if len(differences) < 2 or (sd := float(differences.std(ddof=1))) == 0:
            return None
        needed = seeds_for(abs(float(differences.mean())) / sd, alpha=1 - LEVEL)
        if needed is None:
            return None
        return max(1, sum(max(0, needed - len(each)) for each in (one, other)))


class Evidence:
    """Candidates with their repeats, and what these say.

    Args:
        arms: the candidates.
        objectives: the axes of the front; the first is quality.
        share: of the budget of trainings that is spent, from 0 to 1.
        delta: the lead below which two codings count as equally good; None for one standard error of their paired
            difference on the validation split, or 0 where quality is not an accuracy.
    """

    def __init__(
        self, arms: Sequence[Arm], objectives: Sequence[Objective], share: float = 1.0, delta: float | None = None
    ) -> None:
        self.arms, self.objectives, self.share, self.delta = list(arms), tuple(objectives), share, delta
        self.sign = 1 if objectives[0].maximize else -1

    def counted(self, limits: Limits) -> list[Arm]:
        """Return the candidates that have repeats and keep to limits by their means."""
        return [arm for arm in self.arms if arm.repeats and not self.why_out(arm, limits)]

    def why_out(self, arm: Arm, limits: Limits) -> str:
        """Return why a candidate can't be recommended, as the end of a sentence; empty where it can."""
        quality = arm.mean("quality")
        if (why := arm.out(limits)) or not arm.repeats or good_enough(quality, limits, self.objectives[0]):
            return why
        return f"reaches {format_quality(quality)}, over {len(arm.repeats)} seeds"

    def verdict(self, limits: Limits) -> Verdict | None:
        """Return what the repeats say within limits; None where no candidate counts."""
        arms = self.counted(limits)
        if not arms:
            return None
        codings = sorted({arm.trial.coding for arm in arms})
        groups = [codings.index(arm.trial.coding) for arm in arms]
        found = standing(self._draws(arms), groups)
        best = {name: self._best([arm for arm in arms if arm.trial.coding == name]) for name in codings}
        if math.isnan(found.lead) and len(codings) > 1 and np.isnan(found.probabilities).any():
            means = [self.sign * best[name].mean("quality") for name in codings]
            first, second, *_ = np.argsort(means)[::-1]
            found = replace(found, best=int(first), rival=int(second))
        leader = best[codings[found.best]]
        deltas = np.array([self.equivalent(leader, best[name]) for name in codings])
        leads = np.array([self.sign * (leader.mean("quality") - best[name].mean("quality")) for name in codings])
        leads[found.best] = math.inf
        kept = [codings[group] for group in tied(found, self.share, leads < deltas)]
        rival = found.rival if found.rival is not None else found.best
        winner = leader if len(kept) == 1 else min((best[name] for name in kept), key=_price)
        return Verdict(limits, found, codings, arms, kept, winner, best, float(deltas[rival]))

    def _draws(self, arms: Sequence[Arm]) -> Floats:
        return posterior_draws([self.sign * np.array(arm.qualities) for arm in arms])

    def _best(self, arms: Sequence[Arm]) -> Arm:
        return max(arms, key=lambda arm: (self.sign * arm.mean("quality"), [-cost for cost in _price(arm)]))

    def equivalent(self, one: Arm, other: Arm) -> float:
        """Return the lead below which two candidates count as equally good."""
        if self.delta is not None:
            return self.delta
        return split_error(one.right, other.right)

    def next(self, questions: Sequence[Limits], random: np.random.Generator, batch: int) -> list[Arm]:
        """Return the candidates to be trained next, where they decide most; none where all questions are answered.

        Args:
            questions: limits within which the best coding is asked for; of several open ones each training goes to one
                at random.
            random: source of randomness.
            batch: how many at a time.
        """
        open_ = [one for one in map(self.verdict, questions) if one is not None and self._is_open(one)]
        if not open_:
            return []
        found = []
        for which in random.integers(len(open_), size=batch):
            verdict = open_[int(which)]
            groups = [list(verdict.codings).index(arm.trial.coding) for arm in verdict.arms]
            found.append(verdict.arms[top_two(self._draws(verdict.arms), groups, random)[0]])
        return found

    def _is_open(self, verdict: Verdict) -> bool:
        """Return whether further trainings can tell more: not where a lead is sure, or surely too small to count."""
        found = verdict.standing
        if len(verdict.codings) == 1 or np.isnan(found.probabilities).any():
            return False
        return verdict.probability < level(self.share) and not found.high < verdict.delta

    @cached_property
    def budgets(self) -> list[float]:
        """The mean energies of the candidates, at which another best coding can begin, in nanojoules."""
        return sorted({arm.mean(ENERGY.metric) for arm in self.counted(Limits())})

    def spread(self, arm: Arm, split: str = "validation") -> Spread | None:
        """Return the quality of a candidate over seeds, on the validation or the test split; None where not known."""
        values = [found["quality"] for found in (arm.repeats if split == "validation" else arm.test).values()]
        return spread_of(values, *self.ends(values)) if values else None

    def ends(self, values: Sequence[float]) -> tuple[float, float]:
        """Return the least and the most that a quality can be, of which some values are known."""
        low, high = sorted((self.objectives[0].worst, self.objectives[0].best))
        return low if min(values) >= low else -math.inf, high if max(values) <= high else math.inf


def _price(arm: Arm) -> tuple[float, float, float]:
    """Return what is preferred among equals: less energy, then less latency, then fewer parameters."""
    return tuple(  # type: ignore[return-value]
        value if math.isfinite(value := arm.mean(metric)) else math.inf
        for metric in (ENERGY.metric, LATENCY.metric, "parameters")
    )


def split_error(one: Mapping[int, Right], other: Mapping[int, Right]) -> float:
    """Return the standard error of the difference of two accuracies that comes from the samples of a split.

    Both are means over the seeds that they have in common, on the same samples. Of one seed it is
    ``verdicts.discordant_error``.

    Args:
        one: which samples were right, by seed.
        other: the same of the other.

    Returns:
        0 without a common seed.
    """
    seeds = [seed for seed in one if seed in other and one[seed].shape == other[seed].shape]
    if not seeds:
        return 0.0
    differences = np.mean([one[seed].astype(float) - other[seed] for seed in seeds], axis=0)
    return float(differences.std() / math.sqrt(len(differences)))
