"""Steady-state evolution of the front: what a child has from whom."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spikefront.plugins.samplers.evolution import Evolution, EvolutionConfig
from spikefront.plugins.samplers.random_search import RandomSearch

MUTATED = Evolution(EvolutionConfig(startup=0, random=0.0, crossover=0.0, second=0.0))
CROSSED = Evolution(EvolutionConfig(startup=0, random=0.0, crossover=1.0, second=0.0))
LETTERS: dict[str, BaseDistribution] = {
    name: CategoricalDistribution(list("abcde")) for name in ("first", "second", "third", "fourth")
}
STYLE = CategoricalDistribution(["wide", "fast"])
DEPTH = IntDistribution(1, 9, step=2)
WIDE: dict[str, BaseDistribution] = {"style": STYLE, "wide.width": IntDistribution(8, 64, log=True), "depth": DEPTH}
FAST: dict[str, BaseDistribution] = {"style": STYLE, "fast.rate": FloatDistribution(0.0, 1.0), "depth": DEPTH}

Known = tuple[dict[str, Any], Sequence[float]]


def word(letters: str) -> dict[str, Any]:
    return dict(zip(LETTERS, letters, strict=True))


def spell(trial: optuna.Trial) -> None:
    """Four choices of five letters."""
    for name in LETTERS:
        trial.suggest_categorical(name, list("abcde"))


def build(trial: optuna.Trial) -> None:
    """A conditional space: each style has a number of its own, and both have a depth."""
    if trial.suggest_categorical("style", ["wide", "fast"]) == "wide":
        trial.suggest_int("wide.width", 8, 64, log=True)
    else:
        trial.suggest_float("fast.rate", 0.0, 1.0)
    trial.suggest_int("depth", 1, 9, step=2)


def study_of(known: Sequence[Known], sampler: Evolution, seed: int = 0) -> optuna.Study:
    """Return a study of finished trials, whose two values are minimised."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler.make(seed))
    for params, values in known:
        domains = LETTERS if "first" in params else WIDE if params["style"] == "wide" else FAST
        study.add_trial(optuna.trial.create_trial(params=params, distributions=domains, values=list(values)))
    return study


def child(
    known: Sequence[Known], sampler: Evolution, seed: int, ask: Callable[[optuna.Trial], None] = spell
) -> dict[str, Any]:
    """Return what a sampler proposes next."""
    trial = study_of(known, sampler, seed).ask()
    ask(trial)
    return trial.params


def spelled(*args: Any) -> str:
    return "".join(child(*args).values())


def test_a_mutated_child_differs_from_a_member_of_the_front_in_one_hyperparameter() -> None:
    known = [(word("aaaa"), (0.0, 1.0)), (word("bbbb"), (1.0, 0.0)), (word("cccc"), (2.0, 2.0))]
    found = [spelled(known, MUTATED, seed) for seed in range(30)]
    assert {max(each.count("a"), each.count("b")) for each in found} == {3}
    assert {max("ab", key=each.count) for each in found} == {"a", "b"}


def test_two_hyperparameters_change_where_that_is_asked_for() -> None:
    both = Evolution(EvolutionConfig(startup=0, random=0.0, crossover=0.0, second=1.0))
    assert {spelled([(word("aaaa"), (0, 0))], both, seed).count("a") for seed in range(20)} == {2}


def test_a_crossed_child_has_each_hyperparameter_from_either_parent() -> None:
    known = [(word("aaaa"), (0.0, 1.0)), (word("bbbb"), (1.0, 0.0)), (word("cccc"), (2.0, 2.0))]
    found = [spelled(known, CROSSED, seed) for seed in range(60)]
    crossed = [each for each in found if {*each} == {"a", "b"} and each.count("a") == 2]
    assert len(crossed) > 5  # a mutated child has three letters of its parent
    assert not any({"c", "d", "e"} & {*each} and each.count("a") == 2 for each in found)


def test_no_child_is_a_candidate_that_a_trial_has() -> None:
    neighbours = [f"{'a' * place}{letter}{'a' * (3 - place)}" for place in range(4) for letter in "bcde"]
    tried = [(word(each), (1.0, 1.0)) for each in neighbours if each != "aada"]
    found = [spelled([(word("aaaa"), (0.0, 0.0)), *tried], MUTATED, seed) for seed in range(16)]
    assert found.count("aada") > 12  # of 50 children one is this with a probability of 1 - (15 / 16)^50 = 0.96


def test_a_member_that_is_the_worst_on_an_axis_is_no_parent_beside_others() -> None:
    low, middle, high = (word("dddd"), (9.0, 0.0)), (word("aaaa"), (2.0, 2.0)), (word("eeee"), (0.0, 9.0))
    assert {spelled([low, middle, high], MUTATED, seed).count("a") for seed in range(30)} == {3}
    alone = [spelled([low, high], MUTATED, seed) for seed in range(20)]
    assert {max("de", key=each.count) for each in alone} == {"d", "e"}


def test_parents_are_drawn_by_their_hypervolume_contribution() -> None:
    known = [(word("aaaa"), (2.0, 3.0)), (word("cccc"), (2.9, 2.1)), (word("bbbb"), (3.0, 2.0))]
    known += [(word("dddd"), (9.0, 0.0)), (word("eeee"), (0.0, 9.0))]
    found = [spelled(known, MUTATED, seed) for seed in range(150)]
    parents = [max("abcde", key=each.count) for each in found]
    alone = {"a": (2.9 - 2.0) * (9.0 - 3.0), "c": (3.0 - 2.9) * (3.0 - 2.1), "b": (9.0 - 3.0) * (2.1 - 2.0)}
    for letter, area in alone.items():
        assert parents.count(letter) / len(parents) == pytest.approx(area / sum(alone.values()), abs=0.08)


def test_trials_beyond_a_limit_are_no_parents_beside_others() -> None:
    study = study_of([(word("aaaa"), (5.0, 5.0))], MUTATED)
    beyond = study.ask()
    spell(beyond)
    beyond.set_constraint("energy", 3.0)
    study.tell(beyond, [0.0, 0.0])
    for seed in range(20):
        study.sampler = MUTATED.make(seed)
        trial = study.ask()
        spell(trial)
        assert [*trial.params.values()].count("a") == 3


def test_a_trial_is_a_parent_by_a_point_too() -> None:
    known = [(word("aaaa"), (2.0, 2.0)), (word("bbbb"), (9.0, 9.0)), (word("cccc"), (8.0, 8.0))]
    points = {"a": [[5.0, 5.0, 0.0]], "b": [[3.0, 1.0, 0.0], [1.0, 3.0, 0.0]], "c": [[0.0, 0.0, 0.5]]}
    trials = [
        optuna.trial.create_trial(
            params=params, distributions=LETTERS, values=values, user_attrs={"points": points[params["first"]]}
        )
        for params, values in known
    ]
    parents = []
    for seed in range(150):
        study = optuna.create_study(directions=["minimize"] * 2, sampler=MUTATED.make(seed))
        study.add_trials(trials)
        trial = study.ask()
        spell(trial)
        parents.append(max("abcde", key=[*trial.params.values()].count))
    # up to (9, 9): that of a has 1 for itself, those of b (9 - 3) * (2 - 1) and (2 - 1) * (9 - 3); c is beyond a limit
    assert parents.count("b") / len(parents) == pytest.approx(12 / 13, abs=0.08)
    assert {*parents} == {"a", "b"}


def test_what_a_changed_choice_makes_necessary_comes_from_the_best_trial_that_has_it() -> None:
    known: list[Known] = [
        ({"style": "wide", "wide.width": 13, "depth": 5}, (0.0, 0.0)),
        ({"style": "fast", "fast.rate": 0.75, "depth": 1}, (1.0, 1.0)),
        ({"style": "fast", "fast.rate": 0.25, "depth": 9}, (2.0, 2.0)),
    ]
    fast = [found for seed in range(40) if (found := child(known, MUTATED, seed, build))["style"] == "fast"]
    assert len(fast) > 5
    assert all(found == {"style": "fast", "fast.rate": 0.75, "depth": 5} for found in fast)


def test_what_no_trial_has_is_drawn_at_random() -> None:
    known: list[Known] = [({"style": "wide", "wide.width": 13, "depth": 5}, (0.0, 0.0))]
    rates = [found["fast.rate"] for seed in range(40) if "fast.rate" in (found := child(known, MUTATED, seed, build))]
    assert len({*rates}) == len(rates) > 5


def test_a_changed_number_stays_in_its_range_and_on_its_step() -> None:
    known: list[Known] = [({"style": "wide", "wide.width": 60, "depth": 9}, (0.0, 0.0))]
    wide = [found for seed in range(200) if (found := child(known, MUTATED, seed, build))["style"] == "wide"]
    assert {found["depth"] for found in wide if found["wide.width"] == 60} == {1, 3, 5, 7}
    widths = [found["wide.width"] for found in wide if found["wide.width"] != 60]
    assert all(type(width) is int and 8 <= width <= 64 for width in widths)
    # log(64/40) / log(64/8) = 0.23 of uniform draws are above 40, of the others nearly all: 0.6 in the mean
    assert sum(width > 40 for width in widths) / len(widths) == pytest.approx(0.6, abs=0.15)


def test_the_first_trials_are_drawn_at_random() -> None:
    known = [(word("aaaa"), (0.0, 0.0))] * 9
    few, enough = (Evolution(EvolutionConfig(startup=startup, random=0.0)) for startup in (10, 9))
    assert min(spelled(known, few, seed).count("a") for seed in range(12)) < 2
    assert min(spelled(known, enough, seed).count("a") for seed in range(12)) >= 2


def test_equal_seeds_and_trials_give_equal_proposals_whatever_was_asked_before() -> None:
    rng = random.Random(0)
    known = [(word("".join(rng.choices("abcde", k=4))), (rng.random(), rng.random())) for _ in range(30)]
    assert spelled(known, Evolution(), 5) == spelled(known, Evolution(), 5)
    assert len({spelled(known, Evolution(), seed) for seed in range(8)}) > 4
    plugin = Evolution()
    child(known[:20], plugin, 3)  # a plugin serves many trials, and keeps nothing of them
    assert spelled(known, plugin, 5) == spelled(known, Evolution(), 5)


def dominated(points: Sequence[Sequence[float]]) -> float:
    """Return the area of the unit square that points dominate, to be minimised, by a staircase."""
    area, lowest = 0.0, 1.0
    for x, y in sorted((min(x, 1.0), min(y, 1.0)) for x, y in points):
        area += (1 - x) * max(lowest - y, 0.0)
        lowest = min(lowest, y)
    return area


def searched(sampler: Evolution | RandomSearch, seed: int) -> float:
    """Search five places of ten for two aims that conflict: places are to be equal, and all low, or all high."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler.make(seed))
    for _ in range(60):
        trial = study.ask()
        places = [trial.suggest_categorical(f"place{n}", range(10)) for n in range(5)]
        spread, mean = (max(places) - min(places)) / 9, sum(places) / 45
        study.tell(trial, [0.5 * mean**2 + 0.5 * spread, 0.5 * (1 - mean) ** 2 + 0.5 * spread])
    return dominated([trial.values for trial in study.get_trials(deepcopy=False)])


def test_it_finds_more_than_random_draws() -> None:
    found, drawn = ([searched(sampler, seed) for seed in range(24)] for sampler in (Evolution(), RandomSearch()))
    assert sum(found) / 24 > sum(drawn) / 24 + 0.03
