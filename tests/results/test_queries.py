from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.results.queries import COLUMNS, pareto
from spikefront.results.searches import open_searches, search_names
from spikefront.results.store import schema
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import (
    ENERGY,
    LATENCY,
    OBJECTIVES,
    Candidate,
    Objective,
    SearchInfo,
    State,
    UnknownName,
    UsageError,
)
from spikefront.searchspace.objectives import write_objectives

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]


@pytest.fixture
def keep(search: Search, candidate: Make, database: None) -> Callable[..., None]:
    """Keep a search whose trials have these (quality, energy), and more on request."""

    def keep(name: str, points: list[tuple[float, float]], experiment: str | None = None, **more: float) -> None:
        recorder = MlflowRecorder(Store(experiment=experiment))
        recorder.search_started(search(name))
        for number, (quality, energy) in enumerate(points):
            recorder.trial_started(number, candidate("sac" if number % 2 else "rate", steps=number + 1))
            recorder.trial_ended(number, "COMPLETE", "", {"quality": quality, "energy_nj": energy, **more}, None)
        recorder.search_ended("done")

    return keep


def test_pareto_returns_the_front_cheapest_first(keep: Callable[..., None]) -> None:
    keep("one", [(0.9, 1e3), (0.8, 1e3), (0.5, 10.0), (0.7, 100.0)], spike_rate=0.2)
    front = pareto(Store())
    assert tuple(front.columns) == COLUMNS
    assert list(front["trial"]) == [2, 3, 0]
    assert list(front["quality"]) == [0.5, 0.7, 0.9]
    assert list(front["energy_nj"]) == [10.0, 100.0, 1e3]
    assert list(front["coding"]) == ["rate", "sac", "rate"]
    assert list(front["steps"]) == [3, 4, 1]
    assert set(front["search"]) == {"one"}
    assert set(front["neuron"]) == {"lif"}
    assert set(front["spike_rate"]) == {0.2}
    assert all(math.isnan(value) for value in front["macs"])
    assert front["run_id"].is_unique
    assert front.attrs["quality"] == pareto(Store(), knee=True).attrs["quality"] == "accuracy"


def test_an_empty_front_says_why(keep: Callable[..., None], search: Search, candidate: Make) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("stopped"))
    states: tuple[State, ...] = ("FAIL", "PRUNED", "FAIL")
    for number, state in enumerate(states):
        recorder.trial_started(number, candidate())
        recorder.trial_ended(number, state, "why", {}, None)
    recorder.search_ended("done")
    assert pareto(Store()).attrs["empty"].endswith("has a front: none has a trial judged at full budget")
    why = "search stopped has no front: no trial was judged at full budget (2 failed, 1 stopped early)"
    assert pareto(Store(), "stopped").attrs["empty"] == why
    keep("nothing", [])
    assert pareto(Store(), "nothing").attrs["empty"].endswith("(it has no trials)")
    keep("one", [(0.9, 1e3), (0.5, 10.0)])
    assert pareto(Store(), where=["energy<=1"]).attrs["empty"] == (
        "the filters leave none of the 2 members of the front of one"
    )
    assert "empty" not in pareto(Store()).attrs


def test_equal_candidates_are_one_row_also_of_a_store_that_marked_each(
    search: Search, candidate: Make, database: None
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("one"))
    for number in range(3):
        recorder.trial_started(number, candidate())
        recorder.trial_ended(number, "COMPLETE", "", {"quality": 0.5, "energy_nj": 10.0}, None)
    recorder.search_ended("done")
    found = next(open_searches(Store(), "one"))
    assert [trial.number for trial in found.front.members] == [trial.number for trial in found.members] == [0]
    assert list(pareto(Store())["trial"]) == [0]
    for run in found.trials:
        Store().client.set_tag(run.run_id, schema.PARETO, schema.TRUE)
    assert list(pareto(Store())["trial"]) == [0]


def test_filters_keep_their_bounds(keep: Callable[..., None]) -> None:
    keep("one", [(0.9, 1e3), (0.5, 10.0), (0.7, 100.0), (-0.25, 1e-7)])
    assert list(pareto(Store(), min_quality=0.7)["trial"]) == [2, 0]
    assert list(pareto(Store(), max_energy_nj=100.0)["trial"]) == [3, 1, 2]
    assert list(pareto(Store(), min_quality=0.6, max_energy_nj=500)["trial"]) == [2]
    assert list(pareto(Store(), min_quality=-0.25, max_energy_nj=1e-7)["trial"]) == [3]
    nothing = pareto(Store(), min_quality=0.95)
    assert len(nothing) == 0
    assert tuple(nothing.columns) == COLUMNS


def test_the_newest_search_with_a_front_is_the_default(keep: Callable[..., None]) -> None:
    keep("old", [(0.5, 10.0)])
    keep("new", [(0.4, 10.0)])
    keep("empty", [])
    assert search_names(Store()) == ["empty", "new", "old"]
    assert search_names(Store(), limit=2) == ["empty", "new"]
    assert list(pareto(Store())["search"]) == ["new"]
    assert list(pareto(Store(), "old")["quality"]) == [0.5]
    assert len(pareto(Store(), "empty")) == 0
    assert len(pareto(Store(), min_quality=0.45)) == 0  # not the older search, although it has one
    with pytest.raises(UnknownName, match=r"unknown search 'nwe'\. Did you mean 'new'\? Known: empty, new, old\."):
        pareto(Store(), "nwe")


def test_of_two_searches_of_one_name_the_newer_counts(keep: Callable[..., None]) -> None:
    keep("same", [(0.5, 10.0)])
    keep("same", [(0.4, 20.0)])
    assert list(pareto(Store(), "same")["quality"]) == [0.4]
    assert search_names(Store()) == ["same"]


def test_a_name_with_a_quote_is_found(keep: Callable[..., None]) -> None:
    keep("it's", [(0.5, 10.0)])
    assert list(pareto(Store(), "it's")["search"]) == ["it's"]


def test_a_front_of_many_pages_is_whole(keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikefront.results.store.reading.trial_runs.__defaults__", ((), 2))
    keep("one", [(0.1 * n, 10.0**n) for n in range(1, 8)])
    assert list(pareto(Store())["trial"]) == list(range(7))


def test_another_experiment_is_asked_by_name(keep: Callable[..., None]) -> None:
    keep("there", [(0.5, 10.0)], experiment="codings")
    assert list(pareto(Store(experiment="codings"))["search"]) == ["there"]
    with pytest.raises(UsageError, match=r"no search found in sqlite:///.*; run: spikefront run --task digits"):
        pareto(Store())
    with pytest.raises(UsageError, match="no search found"):
        pareto(Store(experiment="unheard of"))


@pytest.mark.parametrize("limit", ["min_quality", "max_energy_nj", "max_latency"])
def test_a_limit_without_end_is_refused(limit: str) -> None:
    with pytest.raises(UsageError, match="limit inf must be a finite number; leave it out for no limit"):
        pareto(Store(), **{limit: math.inf})  # type: ignore[arg-type]


@pytest.mark.parametrize("ask", [pareto, search_names])
def test_asking_creates_no_database(ask: Callable[[Store], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no search found in sqlite:///.*mlflow\.db; run: spikefront run --task"):
        ask(Store())
    assert list(tmp_path.iterdir()) == []


def test_latency_and_codings_filter_too(keep: Callable[..., None]) -> None:
    keep("one", [(0.9, 1e3), (0.5, 10.0), (0.7, 100.0)], latency_steps=4.0)
    assert list(pareto(Store(), coding=["sac"])["trial"]) == [1]
    assert list(pareto(Store(), coding="sac")["trial"]) == [1]
    assert list(pareto(Store(), coding=["sac", "rate"])["trial"]) == [1, 2, 0]
    assert list(pareto(Store(), coding=["rate"], max_energy_nj=100.0)["trial"]) == [2]
    assert len(pareto(Store(), max_latency=4)) == 3
    assert len(pareto(Store(), max_latency=3.9)) == 0
    assert len(pareto(Store(), coding=["sac"], min_quality=0.6)) == 0
    with pytest.raises(UnknownName, match=r"'rat'\. Did you mean 'rate'\? Known: rate, sac\."):
        pareto(Store(), coding=["sac", "rat"])


def test_the_front_comes_in_the_order_asked_for(keep: Callable[..., None]) -> None:
    keep("one", [(0.9, 1e3), (0.5, 10.0), (0.7, 100.0)])
    assert list(pareto(Store(), order="energy")["trial"]) == [1, 2, 0]
    assert list(pareto(Store(), order="quality")["trial"]) == [0, 2, 1]
    with pytest.raises(UnknownName, match=r"unknown order 'qualty'\. Did you mean 'quality'\?"):
        pareto(Store(), order="qualty")


def test_fewest_steps_come_first_and_the_cheaper_of_equals(search: Search, candidate: Make, database: None) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("one", objectives=(Objective("quality", True, 0.0, 1.0), ENERGY, LATENCY)))
    for number, (quality, energy, steps) in enumerate([(0.9, 100.0, 4.0), (0.5, 10.0, 8.0), (0.4, 50.0, 4.0)]):
        recorder.trial_started(number, candidate())
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": steps}
        recorder.trial_ended(number, "COMPLETE", "", metrics, None)
    recorder.search_ended("done")
    assert list(pareto(Store(), order="latency")["trial"]) == [2, 0, 1]
    assert list(pareto(Store(), max_latency=4)["trial"]) == [2, 0]


def test_each_coding_has_a_front_of_its_own(keep: Callable[..., None]) -> None:
    # even trials are rate, odd ones sac; rate dominates sac
    keep("one", [(0.9, 1e2), (0.8, 1e3), (0.5, 1.0), (0.4, 10.0), (0.4, 2.0), (0.3, 20.0)])
    assert list(pareto(Store())["trial"]) == [2, 0]
    fronts = pareto(Store(), per_coding=True)
    assert tuple(fronts.columns) == COLUMNS
    assert list(zip(fronts["coding"], fronts["trial"], strict=True)) == [
        ("rate", 2), ("rate", 0), ("sac", 3), ("sac", 1)
    ]  # fmt: skip
    assert list(pareto(Store(), per_coding=True, order="quality")["trial"]) == [0, 2, 1, 3]
    assert list(pareto(Store(), per_coding=True, coding=["sac"], max_energy_nj=100)["trial"]) == [3]
    assert list(pareto(Store(), per_coding=True, min_quality=0.8)["trial"]) == [0, 1]


def test_trials_that_were_stopped_or_fell_short_are_on_no_codings_front(
    search: Search, candidate: Make, database: None
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("one"))
    good = {"quality": 0.9, "energy_nj": 5.0}
    ends: list[tuple[State, dict[str, float]]] = [
        ("COMPLETE", {"quality": 0.5, "energy_nj": 10.0}),
        ("PRUNED", good),
        ("FAIL", good),
        ("COMPLETE", {"quality": 1.0}),
    ]
    for number, (state, metrics) in enumerate(ends):
        recorder.trial_started(number, candidate())
        recorder.trial_ended(number, state, "", metrics, None)
    recorder.search_ended("done")
    assert list(pareto(Store(), per_coding=True)["trial"]) == [0]


def test_the_knee_is_one_row_of_what_the_filters_leave(keep: Callable[..., None]) -> None:
    # in decades of energy: (0, .1), (1, .7), (2, .8), (4, .9): from the line .1 + .2 x they rise 0, .4, .3, 0
    keep("one", [(0.1, 1.0), (0.7, 10.0), (0.8, 1e2), (0.9, 1e4)])
    assert list(pareto(Store(), knee=True)["trial"]) == [1]
    # without the first: (1, .7), (2, .8), (4, .9): from the line .7 + .2/3 (x - 1) the middle one rises .033
    assert list(pareto(Store(), knee=True, min_quality=0.5)["trial"]) == [2]
    assert len(pareto(Store(), knee=True, min_quality=0.95)) == 0
    assert list(pareto(Store(), knee=True, per_coding=True)["coding"]) == ["rate", "sac"]


def test_where_less_is_better_the_quality_filter_turns(keep: Callable[..., None]) -> None:
    error = Objective("quality", maximize=False, worst=2.0, best=0.0)
    keep("one", [(0.9, 1e3), (0.5, 10.0), (0.3, 20.0), (0.4, 100.0)])
    client = Store().client
    (parent,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    client.set_tag(parent.info.run_id, schema.OBJECTIVES, write_objectives([error, ENERGY]))
    assert list(pareto(Store(), per_coding=True, order="quality")["trial"]) == [2, 3, 1]  # rate, then sac
    assert list(pareto(Store(), per_coding=True, min_quality=0.45)["trial"]) == [2, 3]


def test_fronts_of_codings_are_those_of_brute_force(keep: Callable[..., None]) -> None:
    # few different values, so that many trials are equal; half of them are rate, half sac
    points = [(0.1 * (7 * n % 5), 10.0 ** (3 * n % 4)) for n in range(40)]
    keep("one", points)
    front = {
        n
        for n, (quality, energy) in enumerate(points)
        if not any(
            q >= quality and e <= energy and (q, e) != (quality, energy) for q, e in points[n % 2 :: 2]
        )
    }  # fmt: skip
    assert len({points[n] for n in front}) < len(front)  # there are equals
    assert set(pareto(Store(), per_coding=True)["trial"]) == front


@pytest.fixture
def sized(search: Search, candidate: Make, database: None) -> None:
    """Write a search whose third objective is the number of parameters, with synaptic operations as a metric."""
    recorder = MlflowRecorder(Store())
    axes = (Objective("quality", True, 0.0, 1.0), ENERGY, OBJECTIVES["parameters"])
    recorder.search_started(search("sized", objectives=axes))
    points = [(0.9, 1e3, 40_000.0, 9.0), (0.5, 10.0, 30_000.0, 5.0), (0.4, 20.0, 1_000.0, 7.0)]
    for number, (quality, energy, parameters, sops) in enumerate(points):
        recorder.trial_started(number, candidate())
        metrics = {"quality": quality, "energy_nj": energy, "parameters": parameters, "sops": sops, "sac.gain": -sops}
        recorder.trial_ended(number, "COMPLETE", "", metrics, None)
    recorder.search_ended("done")


@pytest.mark.usefixtures("sized")
def test_a_further_objective_is_a_column_and_an_order() -> None:
    frame = pareto(Store(), order="parameters")
    assert list(frame.columns) == [*COLUMNS, "parameters"]
    assert list(frame["parameters"]) == [1_000.0, 30_000.0, 40_000.0]
    assert list(pareto(Store(), order="sops")["trial"]) == [1, 2, 0]
    assert list(pareto(Store(), order="sac.gain")["trial"]) == [0, 2, 1]  # not an objective: the least first
    assert list(pareto(Store(), order="latency")["trial"]) == [1, 2, 0]  # not measured: the cheapest first


@pytest.mark.usefixtures("sized")
@pytest.mark.parametrize(
    ("where", "trials"),
    [
        (["parameters<=30000"], [1, 2]),
        (["parameters <= 30k"], [1, 2]),
        (["parameters<30000"], [2]),
        (["sops > 5", "quality>=0.5"], [0]),
        (["energy<=0.02uJ"], [1, 2]),
        (["sac.gain < -8"], [0]),
        (["latency<=100"], []),
    ],
)
def test_conditions_are_arithmetic(where: list[str], trials: list[int]) -> None:
    assert sorted(pareto(Store(), where=where)["trial"]) == trials


@pytest.mark.usefixtures("sized")
@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("parameters", r"condition 'parameters' must read NAME<=NUMBER"),
        ("parameters=3", r"condition 'parameters=3' must read NAME<=NUMBER"),
        ("parameters<=many", r"'many' is not a count"),
        ("parameters<=nan", r"limit nan must be a finite number"),
        ("sobs<=3", r"unknown metric 'sobs'\. Did you mean 'sops'\?"),
    ],
)
def test_conditions_that_can_not_be_read_are_refused(condition: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        pareto(Store(), where=[condition])


@pytest.mark.usefixtures("sized")
def test_each_coding_has_a_front_in_three_objectives() -> None:
    assert list(pareto(Store(), per_coding=True)["trial"]) == [1, 2, 0]


def test_members_whose_energies_are_not_separated_name_each_other(
    search: Search, candidate: Make, database: None
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("one"))
    for number, (quality, energy, error) in enumerate([(0.5, 10.0, 0.1), (0.6, 11.0, 2.0), (0.7, 90.0, 1.0)]):
        recorder.trial_started(number, candidate("sac" if number else "rate", steps=number + 1))
        metrics = {"quality": quality, "energy_nj": energy, "energy_se_nj": error}
        recorder.trial_ended(number, "COMPLETE", "", metrics, None)
    recorder.search_ended("done")
    front = pareto(Store())
    assert list(front["energy_se_nj"]) == [0.1, 2.0, 1.0]
    assert list(front["same_energy_as"]) == ["1", "0", ""]
    assert list(pareto(Store(), min_quality=0.55)["same_energy_as"]) == ["0", ""]  # of the whole front
    assert set(pareto(Store(), per_coding=True)["same_energy_as"]) == {""}  # the two are of different codings
