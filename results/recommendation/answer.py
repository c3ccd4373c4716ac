"""Recommendation: which coding is the best within a budget, as a record with text, table and picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spikefront.results.recommendation.evidence import Evidence, Verdict
from spikefront.results.recommendation.segments import Segment, segments_of
from spikefront.results.recommendation.sentences import Words, along, answer, said
from spikefront.searchspace.domains import Value
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.objectives import ENERGY, LATENCY, Limits
from spikefront.searchspace.units import format_quality

if TYPE_CHECKING:
    import pandas

    from spikefront.results.pictures.picture import Picture
    from spikefront.results.searches import StoredSearch

Verdicts = Literal["best", "tied", "by budget"]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which coding is the best within a budget, and how surely.

    Attributes:
        search: name of the search.
        verdict: ``best`` where one coding is the best surely, ``tied`` where it is among several, ``by budget`` where
            no energy budget was given, so that ``segments`` are the answer.
        coding: the one that is recommended; of those tied the one that costs least.
        trial: name of its candidate's trial.
        candidate: flat form of its candidate.
        probability: that the likeliest coding is the best.
        lead: by how much that is ahead of the best of all others in quality, more meaning better; NaN of one coding.
        low: lower end of its 90 % interval.
        high: upper end.
        tied: the codings among which the best one is.
        more: further trainings that would decide, if the difference is real; None where it is decided, or no affordable
            number would do.
        segments: the answer along the energy axis, up to the energy budget.
        answer: the answer in sentences, three with an energy budget.
        table: a row for each coding: n, mean, interval, probability of being the best, energy.
        picture: quality over energy budget, with a strip that says which coding leads.
    """

    search: str
    verdict: Verdicts
    coding: str
    trial: str
    candidate: Mapping[str, Value]
    probability: float
    lead: float
    low: float
    high: float
    tied: tuple[str, ...]
    more: int | None
    segments: tuple[Segment, ...]
    answer: tuple[str, ...]
    table: pandas.DataFrame
    picture: Picture

    @property
    def text(self) -> str:
        """The answer, a sentence a line."""
        return "\n".join(self.answer)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Return answer, picture and table, for a notebook."""
        from html import escape

        said = "".join(f"<p>{escape(line)}</p>" for line in self.answer)
        shown: str = self.table.to_html(index=False, float_format="{:.4g}".format)
        return f"{said}{self.picture.svg()}{shown}"


def conclude(evidence: Evidence, limits: Limits, words: Words, search: StoredSearch) -> Recommendation:
    """Return the answer that repeats give.

    Args:
        evidence: the candidates with their repeats.
        limits: on energy, latency and quality.
        words: how things are called.
        search: the search, for the picture.

    Raises:
        UsageError: when no candidate keeps to the limits under fresh seeds.
    """
    from spikefront.results.pictures.recommendation import repeats_picture

    verdict, segments = evidence.verdict(limits), segments_of(evidence, limits)
    if verdict is None:
        tried = [f"trial {arm.name} {evidence.why_out(arm, limits) or 'was not trained'}" for arm in evidence.arms]
        raise UsageError(f"no candidate is left {said(limits)}: {'; '.join(tried[:5])}; allow more")
    if limits.max_energy_nj is None:
        kind: Verdicts = "by budget"
        told, decided = along(segments, words, evidence, limits), verdict.decided
    else:
        told, decided = answer(evidence, verdict, words)
        kind = "best" if decided else "tied"
    found = verdict.standing
    codings = sorted({trial.coding for trial in search.trials if trial.coding})
    trials = list(search.front.trials.values())
    return Recommendation(
        search=words.search,
        verdict=kind,
        coding=verdict.winner.trial.coding,
        trial=verdict.winner.name,
        candidate=dict(verdict.winner.trial.candidate),
        probability=verdict.probability,
        lead=found.lead,
        low=found.low,
        high=found.high,
        tied=tuple(verdict.tied),
        more=verdict.more,
        segments=segments,
        answer=told,
        table=table(evidence, limits, verdict, decided),
        picture=repeats_picture(search.name, search.quality, codings, evidence, segments, trials),
    )


def table(evidence: Evidence, limits: Limits, verdict: Verdict, decided: bool) -> pandas.DataFrame:
    """Return a row for each coding, the likeliest first: its best candidate, or the one that is nearest to count.

    Args:
        evidence: the candidates with their repeats.
        limits: the limits.
        verdict: what the evidence says within them.
        decided: whether the test split does not contradict it.
    """
    import pandas

    best = dict(verdict.best)
    for arm in evidence.arms:
        best.setdefault(arm.trial.coding, arm)
    rows = []
    for coding, arm in best.items():
        spread, test = evidence.spread(arm), evidence.spread(arm, "test")
        interval = ""
        if spread is not None and spread.seeds > 1:
            interval = f"{format_quality(spread.low)} to {format_quality(spread.high)}"
        out = evidence.why_out(arm, limits)
        known = not out and bool(arm.repeats)
        rows.append({
            "coding": coding,
            "trial": arm.name,
            "seeds": len(arm.repeats),
            "mean": math.nan if spread is None else spread.mean,
            "95 % interval": interval,
            "best": verdict.probability_of(coding) if known else math.nan,
            "energy_nj": arm.mean(ENERGY.metric),
            "latency_steps": arm.mean(LATENCY.metric),
            "test": math.nan if test is None else test.mean,
            "verdict": out or (_place(verdict, coding, decided) if known else "not trained"),
        })  # fmt: skip
    rows.sort(key=lambda row: (-_or(row["best"], -1.0), -evidence.sign * _or(row["mean"], -math.inf), row["coding"]))
    return pandas.DataFrame(rows)


def _or(value: object, other: float) -> float:
    return value if isinstance(value, float) and not math.isnan(value) else other


def _place(verdict: Verdict, coding: str, decided: bool) -> str:
    if coding not in verdict.tied:
        return "tied" if not decided and verdict.rival is verdict.best[coding] else "behind"
    return "best" if decided else "tied"
