from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.results.queries import COLUMNS, pareto, search_names
from spikefront.results.store import MlflowStore
from spikefront.searchspace import Candidate, SearchInfo, UnknownName, UsageError

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]


@pytest.fixture
def keep(search: Search, candidate: Make, database: None) -> Callable[..., None]:
    """Keep a search whose trials have these (quality, energy), and more on request."""

    def keep(name: str, points: list[tuple[float, float]], experiment: str | None = None, **more: float) -> None:
        store = MlflowStore(experiment=experiment)
        store.search_started(search(name))
        for number, (quality, energy) in enumerate(points):
            store.trial_started(number, candidate("sac" if number % 2 else "rate", steps=number + 1))
            store.trial_ended(number, "COMPLETE", "", {"quality": quality, "energy_nj": energy, **more}, None)
        store.search_ended("done")

    return keep


def test_pareto_returns_the_front_cheapest_first(keep: Callable[..., None]) -> None:
    keep("one", [(0.9, 1e3), (0.8, 1e3), (0.5, 10.0), (0.7, 100.0)], spike_rate=0.2)
    front = pareto()
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


def test_filters_keep_their_bounds(keep: Callable[..., None]) -> None:
    keep("one", [(0.9, 1e3), (0.5, 10.0), (0.7, 100.0), (-0.25, 1e-7)])
    assert list(pareto(min_quality=0.7)["trial"]) == [2, 0]
    assert list(pareto(max_energy_nj=100.0)["trial"]) == [3, 1, 2]
    assert list(pareto(min_quality=0.6, max_energy_nj=500)["trial"]) == [2]
    assert list(pareto(min_quality=-0.25, max_energy_nj=1e-7)["trial"]) == [3]
    nothing = pareto(min_quality=0.95)
    assert len(nothing) == 0
    assert tuple(nothing.columns) == COLUMNS


def test_the_newest_search_with_a_front_is_the_default(keep: Callable[..., None]) -> None:
    keep("old", [(0.5, 10.0)])
    keep("new", [(0.4, 10.0)])
    keep("empty", [])
    assert search_names() == ["empty", "new", "old"]
    assert search_names(limit=2) == ["empty", "new"]
    assert list(pareto()["search"]) == ["new"]
    assert list(pareto("old")["quality"]) == [0.5]
    assert len(pareto("empty")) == 0
    assert len(pareto(min_quality=0.45)) == 0  # not the older search, although it has one
    with pytest.raises(UnknownName, match=r"unknown search 'nwe'\. Did you mean 'new'\? Known: empty, new, old\."):
        pareto("nwe")


def test_of_two_searches_of_one_name_the_newer_counts(keep: Callable[..., None]) -> None:
    keep("same", [(0.5, 10.0)])
    keep("same", [(0.4, 20.0)])
    assert list(pareto("same")["quality"]) == [0.4]
    assert search_names() == ["same"]


def test_a_name_with_a_quote_is_found(keep: Callable[..., None]) -> None:
    keep("it's", [(0.5, 10.0)])
    assert list(pareto("it's")["search"]) == ["it's"]


def test_a_front_of_many_pages_is_whole(keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikefront.results.queries._PAGE", 2)
    keep("one", [(0.1 * n, 10.0**n) for n in range(1, 8)])
    assert list(pareto()["trial"]) == list(range(7))


def test_another_experiment_is_asked_by_name(keep: Callable[..., None]) -> None:
    keep("there", [(0.5, 10.0)], experiment="codings")
    assert list(pareto(experiment="codings")["search"]) == ["there"]
    with pytest.raises(UsageError, match=r"no search found in sqlite:///.*; run: spikefront run --task digits"):
        pareto()
    with pytest.raises(UsageError, match="no search found"):
        pareto(experiment="unheard of")


@pytest.mark.parametrize("ask", [pareto, search_names])
def test_asking_creates_no_database(ask: Callable[[], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no search found in sqlite:///.*mlflow\.db; run: spikefront run --task"):
        ask()
    assert list(tmp_path.iterdir()) == []
