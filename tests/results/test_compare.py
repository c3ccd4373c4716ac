"""Hypervolumes are areas added up by hand: quality from 0 to 1 up, energy from 1 nJ to 10 mJ across, seven decades."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikefront.results.compare import compare
from spikefront.results.pictures.compared import compared_picture
from spikefront.results.searches import StoredSearch
from spikefront.results.store import schema
from spikefront.results.store.connection import Store
from spikefront.searchspace import ENERGY, UnknownName, UsageError
from spikefront.searchspace.objectives import quality_objective, write_objectives

HALF = 10**3.5
"""Energy in the middle of the axis, in nanojoules."""

Write = Callable[..., None]


@pytest.fixture
def write(database: None) -> Write:
    """Write a search whose trials have these (quality, energy, second of their end), with times of our choice."""
    client = Store().client

    def write(
        name: str,
        trials: list[tuple[float, float, float]],
        seconds: float = 100.0,
        states: dict[int, str] | None = None,
        task: str = "digits",
        tags: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> None:
        start = 1_700_000_000_000
        about = {"search": name, "task": task, "spikefront.role": "search"}
        parent = client.create_run("0", start, about).info.run_id
        for number, (quality, energy, end) in enumerate(trials):
            state = (states or {}).get(number, "COMPLETE")
            mine = {"search": name, "mlflow.parentRunId": parent, "spikefront.role": "trial"}
            mine |= {"trial.number": str(number), "trial.state": state} | (tags or {})
            run = client.create_run("0", start, mine).info.run_id
            client.log_metric(run, "quality", quality)
            client.log_metric(run, "energy_nj", energy)
            for key, value in (params or {}).items():
                client.log_param(run, key, value)
            if state != "RUNNING":
                client.set_terminated(run, "FINISHED", start + int(1000 * end))
        client.set_terminated(parent, "FINISHED", start + int(1000 * seconds))

    return write


def measured(*names: str) -> dict[tuple[str, str], list[Any]]:
    frame = compare(Store(), names).frame
    assert list(frame.columns) == ["measure", "at", *names]
    return {(row[0], row[1]): list(row[2:]) for row in frame.itertuples(index=False)}


def test_hypervolume_is_that_of_the_budget_spent(write: Write) -> None:
    # a: half the height at no cost 0.5; then all the height over half the width adds 0.25
    write("a", [(0.5, 1.0, 10.0), (0.2, 1e3, 20.0), (1.0, HALF, 30.0), (0.1, 1e6, 90.0)], seconds=100.0)
    # b: a quarter, then half the height at no cost, for the last of 8 trials; it took twice the time
    late = [(0.5, HALF, 60.0)] + [(0.1, 1e6, 60.0 + n) for n in range(6)] + [(0.5, 1.0, 150.0)]
    write("b", late, seconds=200.0)
    found = measured("a", "b")
    assert found["trials", "end"] == [4, 8]
    assert found["judged", "end"] == [4, 8]
    assert found["seconds", "end"] == [100.0, 200.0]
    assert found["front", "end"] == [2, 1]
    assert found["hypervolume", "end"] == pytest.approx([0.75, 0.5])
    assert found["hypervolume", "25% of trials (1)"] == pytest.approx([0.5, 0.25])
    assert found["hypervolume", "50% of trials (2)"] == pytest.approx([0.5, 0.25])
    assert found["hypervolume", "75% of trials (3)"] == pytest.approx([0.75, 0.25])
    assert found["hypervolume", "100% of trials (4)"] == pytest.approx([0.75, 0.25])
    assert found["hypervolume", "25% of time (25s)"] == pytest.approx([0.5, 0.0])
    assert found["hypervolume", "50% of time (50s)"] == pytest.approx([0.75, 0.0])
    assert found["hypervolume", "100% of time (1m40s)"] == pytest.approx([0.75, 0.25])


def test_fronts_are_held_against_each_other(write: Write) -> None:
    write("a", [(0.5, 1.0, 1.0), (1.0, HALF, 2.0)])  # losses (.5, 0), (0, .5)
    write("b", [(0.75, HALF, 1.0), (0.25, 1.0, 2.0)])  # losses (.25, .5), (.75, 0): each behind one of a's
    found = measured("a", "b")
    # b: a quarter of the height at no cost .25, and half the height more over half the width .25
    assert found["hypervolume", "end"] == pytest.approx([0.75, 0.5])
    assert found["attained by all", "end"] == pytest.approx([0.5, 0.5])  # all of b
    assert found["attained alone", "end"] == pytest.approx([0.25, 0.0])
    assert found["epsilon", "to b"] == pytest.approx([0.0, 0.0])
    assert found["epsilon", "to a"] == pytest.approx([0.0, 0.25])
    assert found["dominated", "by a"] == [0.0, 1.0]
    assert found["dominated", "by b"] == [0.0, 0.0]
    assert found["relation", "to a"] == ["", "worse"]
    assert found["relation", "to b"] == ["better", ""]


def test_neither_is_ahead_where_each_has_its_own(write: Write) -> None:
    write("a", [(0.5, 1.0, 1.0)])  # .5
    write("b", [(1.0, HALF, 1.0)])  # .5; what both attain is a quarter
    write("c", [(0.5, 1.0, 1.0)])
    found = measured("a", "b")
    assert found["attained by all", "end"] == pytest.approx([0.25, 0.25])
    assert found["attained alone", "end"] == pytest.approx([0.25, 0.25])
    assert found["epsilon", "to a"] == pytest.approx([0.0, 0.5])
    assert found["epsilon", "to b"] == pytest.approx([0.5, 0.0])
    assert found["relation", "to a"] == ["", "incomparable"]
    three = measured("a", "b", "c")
    assert three["relation", "to a"] == ["", "incomparable", "equal"]
    assert three["attained alone", "end"] == pytest.approx([0.0, 0.25, 0.0])
    assert three["attained by all", "end"] == pytest.approx([0.25] * 3)


def test_only_trials_at_full_budget_have_a_hypervolume_and_all_that_ended_count(write: Write) -> None:
    trials = [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (0.5, 1.0, 3.0), (1.0, 1.0, 4.0), (1.0, math.nan, 5.0)]
    write("a", trials, states={0: "PRUNED", 1: "FAIL", 3: "RUNNING"})
    write("none", [(1.0, 1.0, 1.0)], states={0: "FAIL"})
    found = measured("a", "none")
    assert found["trials", "end"] == [4, 1]
    assert found["judged", "end"] == [1, 0]
    assert found["hypervolume", "end"] == pytest.approx([0.5, 0.0])
    assert all(math.isnan(value) for value in found["epsilon", "to a"][1:])
    assert math.isnan(found["dominated", "by a"][1])
    assert found["relation", "to a"] == ["", ""]
    assert found["attained by all", "end"] == [0.0, 0.0]


def test_a_trial_judged_again_counts_once(write: Write) -> None:
    write("a", [(0.5, 1.0, 1.0), (0.5, 1.0, 2.0)], states={0: "FAIL"}, tags={"trial.retry_of": "0"})
    write("b", [(0.5, 1.0, 1.0)])
    assert measured("a", "b")["trials", "end"] == [1, 1]


def test_what_makes_numbers_differ_is_said(write: Write) -> None:
    write("a", [(0.5, 1.0, 1.0)], tags={"plugin.coding": "sac 1.0", "plugin.energy": "loihi-1 0.1"})
    subset = {"training.subset": "1000"}
    write("b", [(0.5, 1.0, 1.0)], tags={"plugin.coding": "sac 1.1", "plugin.neuron": "lif 2"}, params=subset)
    assert compare(Store(), ["a", "b"]).warnings == (
        "energy model differs: a loihi-1; b the default",
        "data differs: a the default; b training subset of 1000",
        "version of coding sac differs: a 1.0; b 1.1",
    )
    write("c", [(0.5, 1.0, 1.0)], tags={"plugin.coding": "sac 1.1"}, params=subset)
    assert compare(Store(), ["b", "c"]).warnings == ()


def test_what_does_not_compare_is_refused(write: Write) -> None:
    write("a", [(0.5, 1.0, 1.0)])
    write("b", [(0.5, 1.0, 1.0)], task="fashion-mnist")
    with pytest.raises(UsageError, match=r"different tasks don't compare: a of digits, b of fashion-mnist; choose"):
        compare(Store(), ["a", "b"])
    with pytest.raises(UnknownName, match=r"unknown search 'aa'\. Did you mean 'a'\? Known: a, b\."):
        compare(Store(), ["a", "aa"])
    for names in ([], ["a"], ["a", "a"]):
        with pytest.raises(UsageError, match="compare needs two or more different searches"):
            compare(Store(), names)


def test_two_searches_of_one_name_are_told_apart_by_their_runs(write: Write) -> None:
    write("same", [(0.5, HALF, 10)])
    write("same", [(0.5, HALF, 10), (1.0, HALF, 20)])
    found = Store().client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    runs = [run.info.run_id for run in found]
    labels = [f"same ({run[:8]})" for run in runs]

    comparison = compare(Store(), runs)

    assert comparison.frame.columns.tolist() == ["measure", "at", *labels]
    assert {f"to {label}" for label in labels} <= set(comparison.frame["at"])
    assert [course.name for course in comparison.courses] == labels
    with pytest.raises(UsageError, match=r"^compare needs two or more different searches, not one twice: same, "):
        compare(Store(), ["same", *runs])


def test_the_picture_shows_a_colour_for_each_search(write: Write, tmp_path: Path) -> None:
    write("a", [(0.5, 1.0, 10.0), (1.0, HALF, 20.0)])
    write("b", [(0.75, HALF, 10.0), (0.25, 1.0, 20.0)])
    found = compare(Store(), ["a", "b"])
    found.plot(tmp_path / "both.png")
    found.plot(tmp_path / "both.svg")
    with Image.open(tmp_path / "both.png") as image:
        pixels = np.asarray(image.convert("RGB"), dtype=float).reshape(-1, 3)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(pixels - colour).max(axis=1) < 60).sum() > 200
    assert "<svg" in (tmp_path / "both.svg").read_text()
    with pytest.raises(UsageError, match=r"picture .*both\.gif must end in "):
        found.plot(tmp_path / "both.gif")
    with pytest.raises(UsageError, match=r"folder .*/nowhere does not exist; create it or choose another place"):
        found.plot(tmp_path / "nowhere" / "both.png")


@pytest.mark.parametrize("maximize", [True, False])
def test_the_picture_says_which_way_quality_goes(write: Write, maximize: bool) -> None:
    write("a", [(0.5, 1.0, 10.0), (1.0, HALF, 20.0)])
    write("b", [(0.5, 1.0, 10.0)])
    worst, best = (0.0, 1.0) if maximize else (1.0, 0.0)
    axes = write_objectives([quality_objective(maximize=maximize, worst=worst, best=best), ENERGY])
    client = Store().client
    for run in client.search_runs(["0"], "tags.`spikefront.role` = 'search'"):
        client.set_tag(run.info.run_id, schema.OBJECTIVES, axes)
        client.set_tag(run.info.run_id, schema.QUALITY, "r2")
    spec = compared_picture(compare(Store(), ["a", "b"]).courses).spec
    title = spec["hconcat"][0]["layer"][0]["encoding"]["y"]["title"]
    assert title == "r2 (validation)" + ("" if maximize else ", less is better")


def test_searches_with_another_ideal_are_compared_on_the_widest_scale(write: Write) -> None:
    write("before", [(1.0, 10.0**2, 10.0)])  # without objectives, as earlier versions wrote it: from 1 nJ on
    write("now", [(1.0, 10.0**-1, 10.0)])
    client = Store().client
    (run,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search' and tags.search = 'now'")
    axes = write_objectives([quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY])
    client.set_tag(run.info.run_id, schema.OBJECTIVES, axes)
    # 5 and 8 of the 10 decades from 10 mJ to 1 pJ; alone, the first counts 5 of 7
    assert measured("before", "now")["hypervolume", "end"] == pytest.approx([0.5, 0.8])
    assert StoredSearch.open(Store(), "before").front.hypervolume == pytest.approx(5 / 7)
    assert compare(Store(), ["now", "before"]).warnings == (
        "scale of energy differs: all hypervolumes are computed from 10.0 mJ to 1.00 pJ",
    )
