"""The sentences of a recommendation."""

from __future__ import annotations

from spikefront.results.recommendation.evidence import Arm, Evidence
from spikefront.results.recommendation.sentences import Words, answer
from spikefront.searchspace import ENERGY, Objective, Trial
from spikefront.searchspace.objectives import Limits

AXES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


def arm(number: int, coding: str, *qualities: float) -> Arm:
    metrics = {"energy_nj": 5.0, "latency_steps": 4.0, "parameters": 100.0}
    repeats = {seed: {"quality": quality, **metrics} for seed, quality in enumerate(qualities)}
    return Arm(Trial(number, candidate={"coding": coding}, metrics={"quality": qualities[0], **metrics}), repeats)


def lead_of(*arms: Arm) -> str:
    evidence = Evidence(list(arms), AXES)
    verdict = evidence.verdict(Limits())
    assert verdict is not None
    return answer(evidence, verdict, Words("s", "accuracy", frozenset()))[0][1]


def test_the_lead_of_a_sure_leader_has_its_sign() -> None:
    text = lead_of(arm(0, "sac", 0.95, 0.951, 0.949), arm(1, "css", 0.90, 0.901, 0.899))
    assert text.startswith("sac (trial 0) leads all others by +0.0500 in accuracy (90 % interval +0.04")


def test_the_likeliest_beside_many_uncertain_ones_is_behind_the_best_of_them() -> None:
    others = [arm(n, name, 0.90, 1.0, 0.95) for n, name in enumerate(("css", "gac", "tcja", "rate"), 1)]
    text = lead_of(arm(0, "sac", *[0.957, 0.959, 0.958] * 4), *others)
    assert " is the likeliest, and behind the best of the others by 0.0" in text
    assert "in accuracy (90 % interval of the lead -0." in text
