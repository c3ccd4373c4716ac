"""Sentences that a recommendation answers with."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikefront.results.recommendation.evidence import Arm, Evidence, Verdict
from spikefront.results.recommendation.segments import Segment
from spikefront.results.recommendation.spending import standing
from spikefront.results.verdicts import LEVEL, posterior_draws
from spikefront.searchspace.objectives import ENERGY, Limits
from spikefront.searchspace.units import format_energy, format_quality


@dataclass(frozen=True, slots=True)
class Words:
    """How an answer names things.

    Attributes:
        search: name of the search.
        quality: the task's own name for quality.
        members: names of the trials on the front, whose weights the store has.
        where: options of the store, for commands, such as ``--tracking-uri URI``.
    """

    search: str
    quality: str
    members: frozenset[str]
    where: str = ""

    def export(self, arm: Arm) -> str:
        """Return the command that exports a candidate: with the search's weights, or trained again."""
        name = shlex.quote(f"{self.search}/{arm.name}")
        if arm.name in self.members:
            return f"spikefront export {name} --to net.pt{self.where}"
        return f"spikefront judge {name} --export net.pt{self.where}"


def answer(evidence: Evidence, verdict: Verdict, words: Words) -> tuple[tuple[str, ...], bool]:
    """Return the answer within limits in three sentences, and whether it is decided, the test split not contradicting.

    Args:
        evidence: the candidates with their repeats.
        verdict: what they say.
        words: how things are called.
    """
    test, contradicted = _on_test(evidence, verdict, words)
    decided = verdict.decided and not contradicted
    winner, leader = verdict.winner, verdict.leader
    what = f"trial {winner.name}, {_configuration(winner)}, {format_energy(winner.mean(ENERGY.metric))}"
    within_ = said(verdict.limits, evidence.objectives[0].maximize)
    if decided or len(verdict.tied) == 1:
        head = f"best {within_}: {winner.trial.coding} ({what}); export it: {words.export(winner)}"
    else:
        others = " and ".join([", ".join(verdict.tied[:-1]), verdict.tied[-1]])
        head = f"tied {within_}: {others}; the cheapest of them is {winner.trial.coding} ({what}); "
        head += f"export it: {words.export(winner)}"
    return (head, _lead(evidence, verdict, words, leader), test), decided


def _lead(evidence: Evidence, verdict: Verdict, words: Words, leader: Arm) -> str:
    """Return by how much the leader leads, how surely, and what would decide."""
    found, rival = verdict.standing, verdict.rival
    name = leader.trial.coding
    if rival is None:
        return f"{name} is the only coding with a candidate there: nothing to compare it with"
    if math.isnan(verdict.probability):
        return f"nothing is decided: {name} and {rival.trial.coding} have too few trainings; call it again to go on"
    who = f"{rival.trial.coding} (trial {rival.name})"
    if found.lead >= 0:
        leads = f"leads all others by {_signed(found.lead)} in {words.quality} (90 % interval"
    else:  # beside many uncertain ones the likeliest is, in the mean, behind whichever is the best
        leads = f"is the likeliest, and behind the best of the others by {-found.lead:.4f} in {words.quality} (90 % "
        leads += "interval of the lead"
    text = (
        f"{name} (trial {leader.name}) {leads} {_signed(found.low)} to {_signed(found.high)}), {who} being the next; "
        f"the best of {len(verdict.codings)} codings with probability {verdict.probability:.2f}"
    )
    if verdict.decided:
        return text
    if found.high < verdict.delta or verdict.probability >= LEVEL:
        return f"{text}; leads below {format_quality(verdict.delta)}, the error of the split, count as none"
    if verdict.more is None:
        return f"{text}; no affordable number of trainings would decide"
    return f"{text}; about {verdict.more} more trainings would decide, if the difference is real"


def _on_test(evidence: Evidence, verdict: Verdict, words: Words) -> tuple[str, bool]:
    """Return what the test split says in a sentence, and whether it contradicts the verdict."""
    tested = [arm for arm in verdict.best.values() if arm.test]
    if not verdict.leader.test:
        return "the test split has not been read", False
    order = sorted(tested, key=lambda arm: arm.name != verdict.leader.name)
    draws = posterior_draws([[evidence.sign * one["quality"] for one in arm.test.values()] for arm in order])
    text = f"test split, read once, of {min(len(arm.test) for arm in order)} seeds, with 95 % intervals: "
    text += ", ".join(_tested(evidence, arm, of) for arm, of in zip(order, draws.T, strict=True))
    against = standing(draws, range(len(order))).probabilities
    is_against = len(order) > 1 and bool((against[1:] >= LEVEL).any())
    if verdict.decided and is_against:
        text += "; it contradicts the validation split: take this as a tie"
    return text, is_against


def _tested(evidence: Evidence, arm: Arm, draws: NDArray[np.float64]) -> str:
    """Return the quality of a candidate on the test split, with an interval whose variance is that of all tested."""
    values = [found["quality"] for found in arm.test.values()]
    mean = f"{arm.trial.coding} {format_quality(float(np.mean(values)))}"
    if np.isnan(draws).any():
        return mean
    low, high = np.clip(np.quantile(evidence.sign * draws, (0.025, 0.975)), *evidence.ends(values))
    return f"{mean} ({format_quality(low)} to {format_quality(high)})"


def _configuration(arm: Arm) -> str:
    flat, steps = arm.trial.candidate, arm.trial.steps
    parts = [f"T = {steps}"] if steps else []
    return ", ".join([*parts, *(str(flat[name]) for name in ("neuron", "backbone") if name in flat)])


def _signed(value: float) -> str:
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+.4g}"


def said(limits: Limits, maximize: bool = True) -> str:
    """Return limits in words: ``within 100 nJ and 8 steps``."""
    parts = [] if limits.max_energy_nj is None else [format_energy(limits.max_energy_nj)]
    parts += [] if limits.max_latency_steps is None else [f"{limits.max_latency_steps:g} steps"]
    text = f"within {' and '.join(parts)}" if parts else "at any energy"
    if limits.min_quality is not None:
        text += f", of quality {limits.min_quality:g} or {'more' if maximize else 'less'}"
    return text


def along(segments: Sequence[Segment], words: Words, evidence: Evidence, limits: Limits) -> tuple[str, ...]:
    """Return the answer along the energy axis, a sentence for each range, and what would decide the others."""
    lines = []
    for one in segments:
        trials = f"trial{'s' * (len(one.trials) > 1)} {', '.join(one.trials)}"
        end = "on" if math.isinf(one.end_nj) else f"to {format_energy(one.end_nj)}"
        where = f"from {format_energy(one.start_nj)} {end}"
        if one.decided:
            sure = "the only coding" if one.probability == 1 and _alone(evidence, one, limits) else (
                f"the best with probability {one.probability:.2f}"
            )  # fmt: skip
            lines.append(f"{where}: {one.coding} ({trials}), {sure}")
        else:
            others = " and ".join([", ".join(one.tied[:-1]), one.tied[-1]])
            known = "" if math.isnan(one.probability) else f", probability {one.probability:.2f}"
            lines.append(f"{where}: tied: {others}{known}; the cheapest of them is {one.coding} ({trials})")
    undecided = [one for one in segments if not one.decided]
    if undecided:
        budget = undecided[0].end_nj if math.isfinite(undecided[0].end_nj) else 2 * undecided[0].start_nj
        command = f"spikefront recommend {shlex.quote(words.search)} --max-energy {budget:.4g}nJ{words.where}"
        ranges = f"{len(undecided)} of {len(segments)} ranges are undecided"
        lines.append(f"{ranges}; more seeds for the first of them: {command}")
    return tuple(lines)


def _alone(evidence: Evidence, one: Segment, limits: Limits) -> bool:
    verdict = evidence.verdict(replace(limits, max_energy_nj=one.start_nj))
    return verdict is not None and len(verdict.codings) == 1
