"""How often answers of ``spikefront recommend`` are true, on simulated codings with known means and spreads.

Allocation of trainings, the level that ends them, verdict and intervals are those of the command; only the training is
replaced, by a draw from a normal distribution. An answer is true where it names the best coding, or where the best one
is among those that it says are tied; whoever names one among equals is wrong. Leads are true where the 90 % interval
has the true lead. ``same number`` are runs of as many trainings as the adaptive ones may have, divided equally, with
one look at the end.

    .venv/bin/python benchmarks/recommend.py --runs 1000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from spikefront.results.recommendation.evidence import START, Arm, Evidence
from spikefront.results.recommendation.recommending import PER_CANDIDATE
from spikefront.searchspace import ENERGY, Objective, Trial
from spikefront.searchspace.objectives import Limits

AXES: Final = (Objective("quality", maximize=True, worst=0.0, best=100.0), ENERGY)
Random = np.random.Generator
Draw = Callable[[Random], np.ndarray]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Codings whose candidates have known means and spreads.

    Attributes:
        name: what it is called.
        means: draws the true mean of each candidate.
        spreads: draws the standard deviation of one training of each.
        per_coding: candidates of each coding, which follow each other.
        trainings: most of each candidate, on average.
    """

    name: str
    means: Draw
    spreads: Draw
    per_coding: int = 1
    trainings: int = PER_CANDIDATE


def fixed(*values: float) -> Draw:
    """Return a draw that is always the same."""
    return lambda random: np.array(values)


SCENARIOS: Final = (
    Scenario("2 equal codings", fixed(90, 90), fixed(0.5, 0.5)),
    Scenario("2 equal codings, 20 trainings each", fixed(90, 90), fixed(0.5, 0.5), trainings=20),
    Scenario("2 equal codings, spreads of 0.2 and 1", fixed(90, 90), fixed(0.2, 1.0), trainings=10),
    Scenario("6 codings that differ as seeds do", lambda random: random.normal(90, 0.5, 6), fixed(*[0.5] * 6)),
    Scenario("the same, 20 trainings each", lambda random: random.normal(90, 0.5, 6), fixed(*[0.5] * 6), trainings=20),
    Scenario(
        "the same, spreads from 0.2 to 1",
        lambda random: random.normal(90, 0.5, 6),
        lambda random: random.uniform(0.2, 1.0, 6),
    ),
    Scenario("the same, 2 candidates each", lambda random: random.normal(90, 0.5, 12), fixed(*[0.5] * 12), 2),
    Scenario("means of 90.5, 90, 90, 89.5", fixed(90.5, 90, 90, 89.5), fixed(*[0.5] * 4), trainings=10),
    Scenario("6 equal codings", fixed(*[90.0] * 6), fixed(*[0.5] * 6)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run said, and whether that is true.

    Attributes:
        named: whether it named one coding.
        true: whether the answer is true.
        covered: whether the interval of the lead has the true one.
        best: whether the likeliest coding is the best.
        trainings: that it took.
    """

    named: bool
    true: bool
    covered: bool
    best: bool
    trainings: int


def run(scenario: Scenario, random: Random, batch: int, adaptive: bool) -> Outcome:
    """Play one recommendation."""
    means, spreads = scenario.means(random), scenario.spreads(random)
    names = [f"c{at // scenario.per_coding}" for at in range(len(means))]
    arms = [Arm(Trial(at, candidate={"coding": name})) for at, name in enumerate(names)]
    most = scenario.trainings * len(arms)

    def train(at: int) -> None:
        repeats = {**arms[at].repeats, len(arms[at].repeats): {"quality": random.normal(means[at], spreads[at])}}
        arms[at] = replace(arms[at], repeats=repeats)

    for _ in range(START if adaptive else scenario.trainings):
        for at in range(len(arms)):
            train(at)
    while True:
        spent = sum(len(arm.repeats) for arm in arms)
        evidence = Evidence(arms, AXES, spent / most)
        drawn = evidence.next([Limits()], random, min(batch, most - spent))
        if not drawn:
            break
        for arm in drawn:
            train(arm.trial.number)
    verdict = evidence.verdict(Limits())
    assert verdict is not None
    of = {name: max(mean for mean, other in zip(means, names, strict=True) if other == name) for name in names}
    top = [name for name, mean in of.items() if mean == max(of.values())]
    leader = verdict.leader.trial.coding
    lead = of[leader] - max(mean for name, mean in of.items() if name != leader)
    true = top == list(verdict.tied) if verdict.decided else bool(set(top) & set(verdict.tied))
    covered = verdict.standing.low <= lead <= verdict.standing.high
    return Outcome(verdict.decided, true, covered, [leader] == top, spent)


def rates(scenario: Scenario, runs: int, batch: int, seed: int, adaptive: bool = True) -> dict[str, float]:
    """Return shares of runs: that named a coding, whose answer and whose lead were true, and of names that were right.

    Args:
        scenario: the codings.
        runs: how many.
        batch: trainings at a time.
        seed: of all draws.
        adaptive: whether trainings go where they decide most, and end when it is decided.
    """
    random = np.random.default_rng(seed)
    found = [run(scenario, random, batch, adaptive) for _ in range(runs)]
    named = [one for one in found if one.named]
    return {
        "named": len(named) / runs,
        "true": float(np.mean([one.true for one in found])),
        "leads": float(np.mean([one.covered for one in found])),
        "names right": float(np.mean([one.best for one in named])) if named else float("nan"),
        "best": float(np.mean([one.best for one in found])),
        "trainings": float(np.mean([one.trainings for one in found])),
    }


def kept(candidates: int, best: int, random: Random, runs: int = 20_000) -> float:
    """Return how often the truly best of several candidates is among the best by one seed, both varying alike."""
    means = random.normal(0, 1, (runs, candidates))
    seen = means + random.normal(0, 1, means.shape)
    places = (seen > np.take_along_axis(seen, means.argmax(1)[:, None], 1)).sum(1)
    return float((places < best).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--candidates", action="store_true", help="how often the best candidate is chosen at all")
    given = parser.parse_args(arguments)
    if given.candidates:
        for best in (1, 2, 3):
            shares = [kept(number, best, np.random.default_rng(given.seed)) for number in (3, 5, 10, 20)]
            print(f"the best of 3, 5, 10, 20 is among the best {best}: {', '.join(f'{one:.2f}' for one in shares)}")
        return
    columns = ("named", "true", "leads", "names right", "best", "trainings")
    print("| codings | trainings | " + " | ".join(columns) + " |\n|" + " --- |" * (2 + len(columns)))
    for scenario in SCENARIOS:
        for adaptive in (True, False):
            began = time.perf_counter()
            found = rates(scenario, given.runs, given.batch, given.seed, adaptive)
            cells = [f"{found[name]:.1f}" if name == "trainings" else f"{found[name]:.3f}" for name in columns]
            how = "where they decide" if adaptive else "same number"
            took = f"{time.perf_counter() - began:.0f} s"
            print(f"| {scenario.name} | {how} | {' | '.join(cells)} |  <!-- {took} -->", flush=True)


if __name__ == "__main__":
    main()
