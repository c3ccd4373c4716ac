"""What repeats say of codings: means within limits, ties, preferences, seeds that would decide, the split's error."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from spikefront.results.recommendation.evidence import Arm, Evidence, Verdict, split_error
from spikefront.results.recommendation.segments import segments_of
from spikefront.results.verdicts import discordant_error
from spikefront.searchspace import ENERGY, Objective, Trial
from spikefront.searchspace.objectives import Limits

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
AXES = (QUALITY, ENERGY)
NOISE = (0.002, -0.001, 0.0, 0.001, -0.002)


def arm(
    number: int, coding: str, mean: float, energy: float, seeds: int = 5, turn: int = 0, latency: float = 4.0
) -> Arm:
    noise = NOISE[turn:] + NOISE[:turn]
    metrics = {"energy_nj": energy, "latency_steps": latency, "parameters": 100.0}
    repeats = {seed + 1: {"quality": mean + noise[seed], **metrics} for seed in range(seeds)}
    return Arm(Trial(number, candidate={"coding": coding}, metrics={"quality": mean, **metrics}), repeats)


def said(evidence: Evidence, limits: Limits) -> Verdict:
    found = evidence.verdict(limits)
    assert found is not None
    return found


def test_the_best_coding_leads_by_its_mean_surely() -> None:
    evidence = Evidence([arm(0, "sac", 0.95, 10), arm(1, "css", 0.90, 5, turn=1), arm(2, "sac", 0.94, 8)], AXES)
    found = said(evidence, Limits(max_energy_nj=20))
    assert (found.decided, found.winner.name, list(found.tied)) == (True, "0", ["sac"])
    assert found.standing.lead == pytest.approx(0.05, abs=1e-3)
    assert found.probability > 0.999
    assert found.more is None
    assert found.rival is not None
    assert found.rival.name == "1"


def test_mean_costs_over_seeds_keep_to_the_budget_not_those_of_the_search() -> None:
    costly = arm(0, "sac", 0.95, 10)
    over = Arm(costly.trial, {seed: {**one, "energy_nj": 10.5} for seed, one in costly.repeats.items()})
    limits = Limits(max_energy_nj=10.2)
    assert costly.out(limits) == ""
    assert over.out(limits) == "costs 10.5 nJ, over 5 seeds"
    found = said(Evidence([over, arm(1, "css", 0.90, 5)], AXES), limits)
    assert found.winner.name == "1"
    assert Evidence([over], AXES).verdict(limits) is None


def test_a_mean_that_is_not_good_enough_is_out_with_its_value() -> None:
    arms = [arm(0, "sac", 0.95, 10), arm(1, "css", 0.90, 5)]
    evidence = Evidence(arms, AXES)
    limits = Limits(max_energy_nj=20, min_quality=0.94)
    assert evidence.why_out(arms[1], limits) == "reaches 0.9000, over 5 seeds"
    assert said(evidence, limits).codings == ["sac"]
    assert evidence.verdict(Limits(min_quality=0.96)) is None
    assert (
        Evidence(arms, (Objective("quality", maximize=False, worst=9.0, best=0.0), ENERGY)).why_out(arms[0], limits)
        == "reaches 0.9500, over 5 seeds"
    )


def test_equals_tie_and_the_cheapest_then_the_quickest_of_them_is_recommended() -> None:
    arms = [arm(0, "sac", 0.95, 10), arm(1, "css", 0.9501, 5, turn=1, latency=9), arm(2, "gac", 0.9499, 5, turn=2)]
    found = said(Evidence(arms, AXES), Limits(max_energy_nj=20))
    assert (found.decided, sorted(found.tied), found.winner.name) == (False, ["css", "gac", "sac"], "2")


def test_a_tie_says_how_many_trainings_would_decide() -> None:
    arms = [arm(0, "sac", 0.9504, 10), arm(1, "css", 0.95, 5, turn=1)]
    found = said(Evidence(arms, AXES), Limits(max_energy_nj=20))
    assert not found.decided
    assert found.more is not None
    # differences: mean 0.0004; a level of 2.5 % and a power of 0.8 take about ((1.960 + 0.842) sd / mean)^2 seeds each
    sd = float(np.std([NOISE[row] - (NOISE[1:] + NOISE[:1])[row] for row in range(5)], ddof=1))
    assert found.more == pytest.approx(2 * ((2.802 * sd / 0.0004) ** 2 - 5), rel=0.02)


def test_leads_that_do_not_count_are_ties_even_if_they_are_sure() -> None:
    arms = [arm(0, "sac", 0.95, 10), arm(1, "css", 0.94, 5, turn=1)]
    limits = Limits(max_energy_nj=20)
    sure, alike = (said(Evidence(arms, AXES, delta=delta), limits) for delta in (0.009, 0.011))
    assert (sure.decided, sure.winner.name) == (True, "0")
    assert (alike.decided, alike.tied, alike.winner.name) == (False, ["sac", "css"], "1")
    assert alike.probability > 0.99
    assert Evidence(arms, AXES, share=0.9, delta=0.02).next([limits], np.random.default_rng(0), 2) == []


def test_half_way_a_lead_has_to_be_surer() -> None:
    arms = [arm(0, "sac", 0.9525, 10), arm(1, "css", 0.95, 5, turn=1)]
    limits = Limits(max_energy_nj=20)
    end, half = (said(Evidence(arms, AXES, share=share), limits) for share in (1.0, 0.5))
    assert 0.975 < end.probability < 0.997
    assert (end.decided, half.decided) == (True, False)
    drawn = Evidence(arms, AXES, share=0.5).next([limits], np.random.default_rng(0), 8)
    assert {one.name for one in drawn} == {"0", "1"}
    assert Evidence(arms, AXES, share=1.0).next([limits], np.random.default_rng(0), 8) == []


def test_where_less_is_better_the_least_mean_leads() -> None:
    error = Objective("quality", maximize=False, worst=180.0, best=0.0)
    found = said(Evidence([arm(0, "sac", 0.95, 10), arm(1, "css", 0.90, 5, turn=1)], (error, ENERGY)), Limits())
    assert (found.winner.name, found.decided) == ("1", True)
    assert found.standing.lead == pytest.approx(0.05, abs=1e-3)  # more is better here, too


def test_what_fails_twice_is_left_out_with_its_reason() -> None:
    failing = Arm(Trial(3, candidate={"coding": "sac"}), failed={1: "no spikes", 2: "no spikes"})
    assert failing.out(Limits()) == "failed under 2 seeds (no spikes)"
    assert Arm(Trial(3), arm(0, "sac", 0.9, 1.0).repeats, failed={6: "x", 7: "x"}).out(Limits()) == ""


def test_one_repeat_of_each_decides_nothing() -> None:
    found = said(Evidence([arm(0, "sac", 0.95, 10, seeds=1), arm(1, "css", 0.90, 5, seeds=1)], AXES), Limits())
    assert math.isnan(found.probability)
    assert (found.decided, found.tied, found.leader.name) == (False, ["sac", "css"], "0")


def test_along_the_energy_axis_neighbours_of_one_answer_are_together() -> None:
    arms = [arm(0, "css", 0.80, 5), arm(1, "sac", 0.70, 6, turn=1), arm(2, "css", 0.85, 7, turn=2)]
    arms += [arm(3, "sac", 0.95, 20, turn=3), arm(4, "gac", 0.9502, 30, turn=4)]
    found = segments_of(Evidence(arms, AXES), Limits())
    assert [(one.start_nj, one.end_nj, one.coding, one.trials, one.tied) for one in found] == [
        (5, 20, "css", ("0", "2"), ("css",)),
        (20, 30, "sac", ("3",), ("sac",)),
        (30, math.inf, "sac", ("3",), found[2].tied),
    ]
    assert sorted(found[2].tied) == ["gac", "sac"]
    assert [one.decided for one in found] == [True, True, False]
    assert segments_of(Evidence(arms, AXES), Limits(max_energy_nj=10.0))[-1].end_nj == 10.0


def flags(*wrong: int, samples: int = 1000) -> np.ndarray:
    found = np.ones(samples, dtype=bool)
    found[list(wrong)] = False
    return found


@pytest.mark.parametrize(("only_one", "only_other"), [(range(12), range(20, 29)), (range(3), range(3, 3)), ((), ())])
def test_the_error_of_the_split_under_one_seed_is_that_of_discordant_counts(
    only_one: Sequence[int], only_other: Sequence[int]
) -> None:
    found = split_error({1: flags(*only_other)}, {1: flags(*only_one), 2: flags(5)})
    assert found == pytest.approx(discordant_error(len(only_one), len(only_other), 1000))


def test_without_a_common_seed_the_split_has_no_known_error() -> None:
    assert split_error({1: flags(1)}, {2: flags(2)}) == 0
    assert split_error({}, {}) == 0


def test_the_error_of_the_split_is_the_lead_that_counts() -> None:
    # 40 samples of 1,000 only one of them has right, 30 only the other: sqrt(70 - 0.1) / 1000
    one, other = arm(0, "sac", 0.95, 10), arm(1, "css", 0.94, 5, turn=1)
    rights = [{1: flags(*range(30))}, {1: flags(*range(30, 70))}]
    arms = [Arm(each.trial, each.repeats, right=right) for each, right in zip((one, other), rights, strict=True)]
    found = said(Evidence(arms, AXES), Limits())
    assert found.delta == pytest.approx(math.sqrt(70 - 0.1) / 1000)
    assert found.decided  # a lead of 0.010 is more than 0.0084
