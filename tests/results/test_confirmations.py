"""Repeats of a front's members: their spreads, who stays by which test, and what selection and more data did."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from spikefront.results.confirmations import Confirmations
from spikefront.results.confirmed import (
    Repeats,
    confirm_front,
    optimism,
    rank_changes,
    selection_of,
    spread_of,
    summary,
)
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import ENERGY, LATENCY, Objective, Trial
from spikefront.searchspace.records import Repeat

OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


def at(quality: float, energy: float) -> dict[str, float]:
    return {"quality": quality, "energy_nj": energy}


def test_spread_of_three_values_is_students() -> None:
    found = spread_of([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.302653; half = 4.302653 * 1 / sqrt(3) = 2.484138
    assert (found.mean, found.sd, found.seeds) == (2.0, 1.0, 3)
    assert found.low == pytest.approx(2.0 - 2.484138, abs=1e-5)
    assert found.high == pytest.approx(2.0 + 2.484138, abs=1e-5)


def test_one_seed_has_no_interval() -> None:
    found = spread_of([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.sd)
    assert math.isnan(found.low)


@pytest.mark.parametrize(
    ("values", "least", "most", "interval"),
    [
        # t(0.975, 1) = 12.7062; of two values the half width is 12.7062 * |a - b| / 2
        ([0.97, 0.99], 0.0, 1.0, (0.98 - 0.127062, 1.0)),
        ([0.02, 0.04], 0.0, 1.0, (0.0, 0.03 + 0.127062)),
        ([0.97, 0.99], -math.inf, math.inf, (0.98 - 0.127062, 0.98 + 0.127062)),
    ],
)
def test_an_interval_ends_where_the_metric_does(
    values: list[float], least: float, most: float, interval: tuple[float, float]
) -> None:
    found = spread_of(values, least, most)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-6)


@pytest.mark.parametrize(
    ("worst", "best", "values", "cut"),
    [
        (0.0, 1.0, [0.02, 0.98], (True, True)),  # an accuracy, and an R2 above 0
        (0.0, 1.0, [-0.3, 0.98], (False, True)),  # an R2 can be below 0, which is where hypervolume begins
        (180.0, 0.0, [2.0, 100.0], (True, True)),  # an error in degrees
    ],
)
def test_an_interval_of_quality_ends_at_its_best_and_at_its_worst_unless_a_seed_was_worse(
    worst: float, best: float, values: list[float], cut: tuple[bool, bool]
) -> None:
    objectives = (Objective("quality", maximize=best > worst, worst=worst, best=best), ENERGY)
    repeats = {"0": {seed: {"quality": value, "energy_nj": 10.0 * value + 10.0} for seed, value in enumerate(values)}}
    (member,) = confirm_front([Trial(0, metrics=at(0.5, 10.0))], repeats, objectives)
    quality, energy = member.spreads["quality"], member.spreads["energy_nj"]
    low, high = sorted((worst, best))
    assert (quality.low == low, quality.high == high) == cut
    assert energy.low == 0.0  # a price is not negative
    assert energy.high > energy.mean


SELECTED = [Trial(n, metrics=at(*one)) for n, one in enumerate([(0.80, 10.0), (0.90, 100.0), (0.95, 1000.0)])]
SEEDS = range(1, 6)
NOISE = (0.002, -0.001, 0.0, 0.001, -0.002)
"""Of five seeds; its standard deviation is 0.00158."""


def repeated(*members: tuple[float, float]) -> dict[str, dict[int, dict[str, float]]]:
    """Return five repeats of members with these means."""
    turned = [NOISE[n:] + NOISE[:n] for n in range(5)]  # no two members vary in the same way
    return {
        str(number): {seed: at(quality + turned[number % 5][row], energy) for row, seed in enumerate(SEEDS)}
        for number, (quality, energy) in enumerate(members)
    }


REPEATS = repeated((0.80, 10.0), (0.92, 100.0), (0.91, 1000.0))  # trial 2 costs more than trial 1, and is worse


def test_members_stay_or_fall_by_how_surely_they_are_on_the_front() -> None:
    members = confirm_front(SELECTED, REPEATS, OBJECTIVES)
    assert [(one.trial.number, one.verdict, one.stays, one.rival, one.beaten_by) for one in members] == [
        (0, "stays", True, None, None),
        (1, "stays", True, SELECTED[0], None),
        (2, "falls", False, SELECTED[1], SELECTED[1]),
    ]
    assert [one.probability for one in members] == [1.0, 1.0, 0.0]
    assert math.isnan(members[0].p)
    assert members[1].p < 1e-6
    assert members[2].p > 0.999
    assert members[1].spreads["quality"].mean == pytest.approx(0.92)


def test_a_difference_within_the_spread_is_undecided_and_says_how_many_seeds_would_do() -> None:
    members = confirm_front(SELECTED[:2], repeated((0.80, 10.0), (0.8004, 100.0)), OBJECTIVES)
    assert [one.verdict for one in members] == ["stays", "undecided"]
    assert 0.5 < members[1].probability < 0.9
    # differences: mean 0.0004, sd 0.003; a level of 2.5 % and a power of 0.8 take about ((1.960 + 0.842) / d)^2 seeds
    assert members[1].more_seeds == pytest.approx((2.802 * 0.003 / 0.0004) ** 2 - 5, rel=0.02)
    assert members[1].beaten_by is None  # on the front of the means
    said = summary(members, {})
    assert said[0] == ("1 of 2 members stay on the front (probability of 0.975 or more), 1 is undecided, 0 fall")
    assert said[1].startswith(f"trial 1 is undecided: on the front with probability {members[1].probability:.3f}; ")
    assert said[1].endswith(
        f"{members[1].more_seeds} more seeds would separate it from trial 0, if the difference is real"
    )


def test_errors_that_are_minimised_are_decided_the_same_way() -> None:
    axes = (Objective("quality", maximize=False, worst=180.0, best=0.0), ENERGY)
    turned = {
        trial: {seed: at(1 - one["quality"], one["energy_nj"]) for seed, one in by_seed.items()}
        for trial, by_seed in REPEATS.items()
    }
    assert [one.verdict for one in confirm_front(SELECTED, turned, axes)] == ["stays", "stays", "falls"]


def test_a_member_that_is_cheaper_on_any_axis_has_no_rival() -> None:
    repeats = repeated((0.92, 10.0), (0.80, 100.0), (0.80, 1000.0))
    for trial, latency in enumerate((8.0, 4.0, 8.0)):
        for metrics in repeats[str(trial)].values():
            metrics["latency_steps"] = latency
    members = confirm_front(SELECTED, repeats, (*OBJECTIVES, LATENCY))
    assert [(one.verdict, one.rival) for one in members] == [("stays", None), ("stays", None), ("falls", SELECTED[0])]


def test_one_repeat_decides_nothing_but_the_cheapest_and_says_so() -> None:
    one_seed = {trial: {1: by_seed[1]} for trial, by_seed in REPEATS.items()}
    members = confirm_front(SELECTED, one_seed, OBJECTIVES)
    assert [one.verdict for one in members] == ["stays", "undecided", "undecided"]
    assert all(math.isnan(one.probability) for one in members[1:])
    assert members[2].beaten_by == SELECTED[1]
    assert "one repeat of each member decides nothing: no test can be made; 5 are usual: --seeds 5" in summary(
        members, {}
    )


def test_equal_members_at_equal_cost_both_stay_and_at_a_higher_cost_are_undecided() -> None:
    same = {"0": {1: at(0.9, 10.0), 2: at(0.9, 10.0)}, "1": {1: at(0.9, 10.0), 2: at(0.9, 10.0)}}
    assert [one.verdict for one in confirm_front(SELECTED[:2], same, OBJECTIVES)] == ["stays", "stays"]
    more = {**same, "1": {1: at(0.9, 11.0), 2: at(0.9, 11.0)}}
    (_, expensive) = confirm_front(SELECTED[:2], more, OBJECTIVES)
    assert (expensive.verdict, expensive.probability, expensive.p, expensive.more_seeds) == (
        "undecided",
        0.5,
        0.5,
        None,
    )


@pytest.mark.parametrize(
    "broken", [{"energy_nj": 100.0}, at(math.nan, 100.0), at(math.inf, 100.0), at(0.9, math.nan), {}]
)
def test_a_repeat_without_a_finite_result_has_failed_and_never_dominates(broken: dict[str, float]) -> None:
    repeats: Repeats = {**REPEATS, "1": {**REPEATS["1"], 3: broken}}
    members = confirm_front(SELECTED, repeats, OBJECTIVES)
    assert [(one.verdict, one.spreads["quality"].seeds) for one in members] == [
        ("stays", 5),
        ("stays", 4),
        ("falls", 5),
    ]
    assert "trial 1: 1 of 5 repeats failed" in summary(members, {}, repeats=5)
    lost: Repeats = {**REPEATS, "1": dict.fromkeys(SEEDS, broken)}
    assert [one.trial.number for one in confirm_front(SELECTED, lost, OBJECTIVES)] == [0, 2]
    assert confirm_front(SELECTED, {"0": {1: broken}}, OBJECTIVES) == []


def test_a_changed_order_and_the_optimism_of_selection_are_counted() -> None:
    members = confirm_front(SELECTED, REPEATS, OBJECTIVES)
    assert rank_changes(members) == (1, 3)
    assert optimism(members) == pytest.approx((0.0 - 0.02 + 0.04) / 3)


def test_a_member_whose_repeats_all_failed_is_left_out_and_named() -> None:
    members = confirm_front(SELECTED, {**REPEATS, "2": {}}, OBJECTIVES)
    assert [member.trial.number for member in members] == [0, 1]
    said = summary(members, {"2": "RuntimeError: no"})
    assert said[0].startswith("2 of 3 members stay on the front")
    assert "trial 2 could not be confirmed: RuntimeError: no" in said


def test_the_summary_names_the_members_that_fell() -> None:
    said = summary(confirm_front(SELECTED, REPEATS, OBJECTIVES), {})
    assert said[:2] == [
        "2 of 3 members stay on the front (probability of 0.975 or more), 0 are undecided, 1 falls",
        "trial 2 falls off: on the front with probability 0.000; trial 1 costs no more and is better on the test split",
    ]
    assert said[-1] == "1 of 3 pairs of members changed their order in quality"
    assert said[2].startswith("quality on the test split is 0.0067 worse than at selection, on average, with")


ALONE = {"0": {1: at(0.78, 10.0)}, "1": {1: at(0.87, 100.0)}, "2": {1: at(0.91, 1000.0), 2: at(0.89, 1000.0)}}


def test_selection_is_told_from_more_data_by_repeats_on_the_training_split_alone() -> None:
    found = selection_of(confirm_front(SELECTED, REPEATS, OBJECTIVES), ALONE, OBJECTIVES)
    assert found is not None
    # selected 0.80, 0.90, 0.95; alone 0.78, 0.87, 0.90; with more data 0.80, 0.92, 0.91
    assert (found.flatters.mean, found.more_data.mean) == pytest.approx(
        ((0.02 + 0.03 + 0.05) / 3, (0.02 + 0.05 + 0.01) / 3)
    )
    half = 4.302653 * 0.0152753 / math.sqrt(3)  # t of 2 degrees of freedom, sd of 0.02, 0.03, 0.05
    assert found.flatters.high - found.flatters.mean == pytest.approx(half, rel=1e-4)
    said = summary(confirm_front(SELECTED, REPEATS, OBJECTIVES), {}, selection=found)
    assert said[2].startswith("selection flatters by 0.0333 (95 % interval -0.0046 to 0.0713), more data give 0.0267 (")
    assert said[2].endswith(", on average over 3 members")


def test_the_direction_of_quality_is_that_of_selection_too() -> None:
    axes = (Objective("quality", maximize=False, worst=1.0, best=0.0), ENERGY)
    members = confirm_front([Trial(0, metrics=at(0.2, 10.0))], {"0": {1: at(0.25, 10.0), 2: at(0.25, 10.0)}}, axes)
    found = selection_of(members, {"0": {1: at(0.3, 10.0)}}, axes)
    assert found is not None
    assert (found.flatters.mean, found.more_data.mean) == pytest.approx((0.1, 0.05))
    assert "selection flatters by 0.1000, more data give 0.0500, on average over 1 member" in summary(
        members, {}, maximize=False, selection=found
    )
    assert selection_of(members, {"0": {1: {"energy_nj": 10.0}}, "7": {1: at(0.3, 10.0)}}, axes) is None


@pytest.mark.parametrize(("maximize", "than"), [(True, "worse"), (False, "better")])
def test_without_those_repeats_the_summary_does_not_say_why(maximize: bool, than: str) -> None:
    axis = Objective("quality", maximize=maximize, worst=0.0 if maximize else 1.0, best=1.0 if maximize else 0.0)
    members = confirm_front([Trial(0, metrics=at(0.5, 10.0))], {"0": {1: at(0.4, 10.0)}}, (axis, ENERGY))
    (said,) = [sentence for sentence in summary(members, {}, maximize) if "on the test split is" in sentence]
    assert said.startswith(f"quality on the test split is 0.1000 {than} than at selection, on average")
    assert "--selection-seeds 1 tells" in said
    assert "luck" not in said.partition("--selection-seeds")[0]


@pytest.fixture
def confirmations(database: None, search: Callable[..., Any], candidate: Callable[..., Any]) -> Confirmations:
    """Return a front of three members that was not confirmed yet."""
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    for trial in SELECTED:
        recorder.trial_started(trial.number, candidate(steps=2 + trial.number))
        recorder.trial_ended(trial.number, "COMPLETE", "", dict(trial.metrics), None)
    recorder.search_ended("all trials done")
    return Confirmations(Store())


def test_what_repeats_say_is_stored_and_a_diverged_one_is_tried_again(confirmations: Confirmations) -> None:
    said = io.StringIO()
    take = confirmations.record(16, said)
    for trial, by_seed in REPEATS.items():
        for seed, metrics in by_seed.items():
            take(Repeat(trial, seed, {**metrics, "quality": math.nan} if (trial, seed) == ("1", 3) else metrics))
    take(Repeat("0", 1, at(0.75, 10.0)), alone=True)
    lines = said.getvalue().splitlines()
    assert lines[0] == "[1/16] trial 0, seed 1: quality 0.8020, energy 10.0 nJ"
    assert "[8/16] trial 1, seed 3: failed (quality is not a finite number: its training diverged)" in lines
    assert lines[-1] == "[16/16] trial 0, training split alone, seed 1: quality 0.7500, energy 10.0 nJ"
    assert confirmations.missing(SEEDS) == [("1", 3)]
    assert confirmations.missing(SEEDS[:1], alone=True) == [("1", 1), ("2", 1)]

    frame, _ = confirmations.conclude(SEEDS)
    assert list(frame["front"]) == ["stays", "stays", "falls"]
    assert list(frame["seeds"]) == [5, 4, 5]
    assert list(frame["rival"]) == ["", "0", "1"]
    client = MlflowClient(Store().uri)
    runs = {run.data.tags["trial.number"]: run.data for run in client.search_runs(["0"], "tags.pareto = 'true'")}
    assert {number: (run.tags["confirmed.verdict"], run.tags["confirmed"]) for number, run in runs.items()} == {
        "0": ("stays", "true"),
        "1": ("stays", "true"),
        "2": ("falls", "false"),
    }
    assert [runs[number].metrics["confirmed.probability"] for number in "012"] == [1, 1, 0]
    assert "confirmed.p" not in runs["0"].metrics
    assert runs["0"].metrics["training_alone.quality"] == 0.75
    document = confirmations.search.artifact("confirmed.json")
    assert [(one["verdict"], one["probability"]) for one in document["members"]] == [
        ("stays", 1),
        ("stays", 1),
        ("falls", 0),
    ]
    selection = document["selection"]
    assert (selection["flatters"], selection["more_data"], selection["seeds"]) == (
        pytest.approx(0.05),
        pytest.approx(0.05),
        [1],
    )


def test_repeats_that_the_store_cut_down_cost_their_member_and_nothing_else(confirmations: Confirmations) -> None:
    client = MlflowClient(Store().uri)
    runs = {one.name: one.run_id for one in confirmations.members}
    for trial, by_seed in REPEATS.items():
        for seed, metrics in by_seed.items():  # an earlier version wrote what MLflow took: all but the NaN
            points = [(name, value) for name, value in metrics.items() if not (trial == "2" and name == "quality")]
            for name, value in points:
                client.log_metric(runs[trial], f"test.{name}", value, step=seed)
    frame, said = confirmations.conclude(SEEDS)
    assert list(frame["trial"]) == [0, 1]
    assert "trial 2 could not be confirmed: quality is not a finite number: its training diverged" in said
    assert confirmations.missing(SEEDS) == [("2", seed) for seed in SEEDS]
    assert client.get_run(runs["2"]).data.tags["confirmed.verdict"] == "failed"
    assert confirmations.search.artifact("confirmed.json")["failed"].keys() == {"2"}
