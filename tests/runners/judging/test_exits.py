"""Early exit: confidences and energies by hand, and what holds for any network."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Any

import pytest
import torch

from spikefront.plugins import Data, Operations, Registry, SearchData
from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.runners.judging.counting import count_operations, count_samples
from spikefront.runners.judging.exits import (
    Exits,
    check_operations,
    confidence,
    exit_curves,
    exit_energies,
    exit_places,
    outputs_with_exit,
    refuse_exits,
)
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import evaluate, split_outputs
from spikefront.searchspace import UsageError, from_flat
from spikefront.searchspace.exits import EXIT_RULES, Exit, ExitRule

MODEL = Horowitz45nm()
EASY = torch.tensor([[3.0, 0, 0], [3, 1, 0], [2, 0, 1], [3, 0, 0]])
HARD = torch.tensor([[1.0, 1, 0], [0, 2, 1], [1, 2, 0], [0, 3, 0]])
PREFIXES = torch.stack([EASY, HARD], 1).cumsum(0) / torch.arange(1.0, 5).view(4, 1, 1)  # (T, N, K): means of currents


@pytest.mark.parametrize(
    ("rule", "easy", "hard"),
    [
        ("max", [0.9094, 0.8835, 0.8376, 0.8590], [0.4223, 0.5761, 0.6129, 0.7159]),
        ("entropy", [0.3337, 0.3979, 0.5064, 0.4593], [0.9260, 0.8878, 0.8469, 0.7205]),
        ("gap", [3, 2.5, 2.3333, 2.5], [0, 1, 1, 1.5]),
    ],
)
def test_confidences_of_two_samples(rule: ExitRule, easy: list[float], hard: list[float]) -> None:
    found = confidence(PREFIXES, rule)
    assert found[:, 0].tolist() == pytest.approx(easy, abs=5e-5)
    assert found[:, 1].tolist() == pytest.approx(hard, abs=5e-5)


@pytest.mark.parametrize(
    ("exit", "steps"),
    [
        (Exit("gap", 1.0), [1, 2]),
        (Exit("max", 0.7), [1, 4]),
        (Exit("entropy", 0.85), [1, 3]),
        (Exit("max", 0.0), [1, 1]),
        (Exit("gap", math.inf), [4, 4]),
        (Exit("entropy", 0.0), [4, 4]),
    ],
)
def test_a_sample_exits_at_the_first_step_that_is_sure(exit: Exit, steps: list[int]) -> None:
    assert (exit_places(confidence(PREFIXES, exit.rule), exit) + 1).tolist() == steps


def test_equal_outputs_exit_at_the_end() -> None:
    assert exit_places(confidence(torch.zeros(4, 1, 3), "max"), Exit("max", 0.7)).tolist() == [3]


def test_energy_is_that_until_the_exit_with_a_check_at_each_step_but_the_last() -> None:
    whole = torch.tensor([10.0, 8, 8, 8], dtype=torch.float64).cumsum(0).expand(3, -1)
    energies = exit_energies(whole, 0.1, torch.tensor([0, 3, 1]))
    assert energies.tolist() == pytest.approx([10.1, 34.3, 18.2], abs=1e-12)
    assert float(energies.mean()) == pytest.approx(20.8667, abs=5e-5)


def test_checks_cost_what_their_arithmetic_takes() -> None:
    assert check_operations("gap", 10) == Operations(adds=17)
    assert check_operations("max", 10) == check_operations("entropy", 10) == Operations(adds=20, multiplies=10)


def made(registry: Registry, data: SearchData, **flat: Any) -> tuple[Network, Any, Data]:
    torch.manual_seed(3)
    candidate = from_flat({"task": "digits", "backbone": "mlp", "steps": 5, **flat}, registry)
    network, task = assemble(candidate, registry, (1, 8, 8), 10), registry.task(candidate)
    split = Data(data.validation.inputs[:60], data.validation.targets[:60])
    return fit_norms(network, task.prepare(split.inputs)), task, split


@pytest.mark.parametrize("coding", ["rate", "gac", "css"])
def test_operations_of_the_samples_add_up_to_those_of_the_batch(
    registry: Registry, data: SearchData, coding: str
) -> None:
    network, task, split = made(registry, data, coding=coding)
    x, ends = task.prepare(split.inputs), (*network.cuts, 5)
    samples = count_samples(network, x, ends, traffic=False, seed=4)
    for place, end in enumerate(ends):
        with network.cut_at(end % 5), fixed_randomness(4):
            whole = count_operations(network, x, traffic=False)
        assert reduce(add, (sample[place] for sample in samples)) == whole


@pytest.mark.parametrize("coding", ["direct", "css"])
def test_curves_run_from_the_first_step_to_the_whole_network(registry: Registry, data: SearchData, coding: str) -> None:
    network, task, split = made(registry, data, coding=coding)
    exits = Exits(network, task, split, MODEL)
    fixed = exits.fixed()
    assert [point.steps for point in fixed] == [1, 2, 3, 4, 5]
    assert fixed[-1].quality == evaluate(network, task, split)["quality"]
    assert fixed[-1].latency_steps - fixed[-1].steps == len(network.sites) * (coding == "css")
    for rule, (all_exit, none_exits) in {"max": (0, math.inf), "gap": (0, math.inf), "entropy": (math.inf, 0)}.items():
        check = exits.check_nj(rule)  # type: ignore[arg-type]
        assert check == pytest.approx(MODEL.energy_nj(_readout(check_operations(rule, 10))))  # type: ignore[arg-type]
        first, last = exits.at(Exit(rule, all_exit)), exits.at(Exit(rule, none_exits))  # type: ignore[arg-type]
        assert (first.steps, first.most_steps, first.quality) == (1, 1, fixed[0].quality)
        assert first.energy_nj == pytest.approx(fixed[0].energy_nj + check, rel=1e-12)
        assert (last.steps, last.quality) == (5, fixed[-1].quality)
        assert last.energy_nj == pytest.approx(fixed[-1].energy_nj + 4 * check, rel=1e-12)
        curve = exits.curve(rule, 12)  # type: ignore[arg-type]
        assert [one.steps for one in curve] == sorted(one.steps for one in curve)
        ordered = sorted(curve, key=lambda one: one.exit.threshold, reverse=rule == "entropy")  # type: ignore[union-attr]
        assert [one.steps for one in ordered] == [one.steps for one in curve]
        assert all(first.energy_nj <= one.energy_nj <= last.energy_nj for one in curve)


def _readout(operations: Operations) -> Any:
    from spikefront.plugins import Counts, LayerCount

    return Counts(1, 5, (LayerCount("check", "readout", operations=operations),))


def test_the_exit_is_the_cheapest_that_the_tolerance_allows(registry: Registry, data: SearchData) -> None:
    network, task, split = made(registry, data, coding="rate-conversion")
    found = exit_curves(network, task, split, MODEL, tolerance=0.05, test=split)
    whole = found.fixed[-1]
    allowed = [one for curve in found.exits.values() for one in curve if one.quality >= whole.quality - 0.05 - 1e-9]
    assert found.chosen == min(allowed, key=lambda one: one.energy_nj)
    assert found.best_fixed == min(
        (one for one in found.fixed if one.quality >= whole.quality - 0.05 - 1e-9), key=lambda one: one.energy_nj
    )
    assert found.tested == (found.chosen, found.best_fixed, whole)  # on the same samples
    assert found.saves == pytest.approx(1 - found.chosen.energy_nj / found.best_fixed.energy_nj)


@pytest.mark.parametrize("rule", EXIT_RULES)
def test_outputs_are_those_at_the_steps_that_are_taken(registry: Registry, data: SearchData, rule: ExitRule) -> None:
    network, task, split = made(registry, data, coding="rate")
    exit = Exit(rule, float(confidence(split_outputs(network, task, split), rule).median()))
    outputs, steps = outputs_with_exit(network, task.prepare, split.inputs, exit)
    assert set(steps.tolist()) > {5}
    for end in set(steps.tolist()):
        with network.cut_at(end % 5):
            assert torch.equal(split_outputs(network, task, split)[steps == end], outputs[steps == end])


def test_networks_without_exits_are_refused(registry: Registry, data: SearchData) -> None:
    network, task, _ = made(registry, data, coding="tcja")
    with pytest.raises(UsageError, match="coding 'tcja', as it is set up, can't be stopped"):
        refuse_exits(network, task)
    network, task, _ = made(registry, data, coding="direct", cut=2)
    with pytest.raises(UsageError, match="is cut at 2 already"):
        refuse_exits(network, task)
    with pytest.raises(UsageError, match="has no classes"):
        refuse_exits(network, registry.get("task", "diabetes")())
