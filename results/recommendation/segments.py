"""Segments: the answer to which coding is the best, along the energy axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from spikefront.results.recommendation.evidence import Evidence
from spikefront.searchspace.objectives import Limits


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of energy budgets in which the answer is the same.

    Attributes:
        start_nj: least energy budget, in nanojoules per sample.
        end_nj: the budget at which the next answer begins; infinity of the last one.
        coding: the one that leads or, of those tied, the one that is recommended.
        trials: names of the trials that are recommended, by growing budget.
        tied: the codings among which the best one is; one alone where it is decided.
        probability: least probability in this range that the likeliest coding is the best; NaN where it is not known.
    """

    start_nj: float
    end_nj: float
    coding: str
    trials: tuple[str, ...]
    tied: tuple[str, ...]
    probability: float

    @property
    def decided(self) -> bool:
        """Whether one coding is the best, surely."""
        return len(self.tied) == 1 and not math.isnan(self.probability)


def segments_of(evidence: Evidence, limits: Limits) -> tuple[Segment, ...]:
    """Return the answer for each energy budget, neighbours of one answer together.

    Args:
        evidence: the candidates with their repeats.
        limits: those beside the energy; one on energy is where the last range ends.
    """
    found: list[Segment] = []
    for budget in evidence.budgets:
        if limits.max_energy_nj is not None and budget > limits.max_energy_nj:
            break
        verdict = evidence.verdict(replace(limits, max_energy_nj=budget))
        if verdict is None:
            continue
        one = Segment(
            budget, math.inf, verdict.winner.trial.coding, (verdict.winner.name,), tuple(verdict.tied),
            verdict.probability,
        )  # fmt: skip
        last = found[-1] if found else None
        if last is not None and (last.coding, set(last.tied)) == (one.coding, set(one.tied)):
            trials = last.trials if one.trials[0] in last.trials else (*last.trials, *one.trials)
            found[-1] = replace(last, trials=trials, probability=min(last.probability, one.probability))
        else:
            found[-1:] = [*([replace(last, end_nj=budget)] if last is not None else []), one]
    if found and limits.max_energy_nj is not None:
        found[-1] = replace(found[-1], end_nj=limits.max_energy_nj)
    return tuple(found)
