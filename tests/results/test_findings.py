"""Values are computed by hand: quality from 0 to 1, energy from 1 pJ to 10 mJ, ten decades."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from spikefront.results.findings import Findings
from spikefront.results.report.tables import codings_table
from spikefront.results.store.connection import Store
from spikefront.searchspace.activity import Activity, LayerActivity
from spikefront.searchspace.trial import COMPUTE

HALF = 10**2

Read = Callable[..., Findings]


def test_a_search_is_read_with_all_that_its_store_left(write: Callable[..., None], read: Read) -> None:
    runs = [
        ("direct", 0.5, 1e-3, "COMPLETE", ""),
        ("sac", 1.0, HALF, "COMPLETE", ""),
        ("sac", 0.2, HALF, "COMPLETE", ""),
        ("sac", 0.9, 2.0, "PRUNED", "stopped at rung 1"),
        ("gac", 0.9, math.nan, "FAIL", "lost"),
    ]
    write(runs)
    found = read()
    assert (found.name, found.task, found.quality, found.ended) == ("digits-1", "digits", "accuracy", "all trials done")
    assert found.options["seed"] == "3"
    assert {one.versions["energy"] for one in found.trials} == {"loihi 2.0"}
    assert sorted(one.number for one in found.trials) == [0, 1, 2, 3, 4]
    assert [one.number for one in found.comparable] == [0, 1, 2]
    assert [one.number for one in found.members] == [0, 1]
    assert found.codings == ["direct", "gac", "sac"]
    assert found.front.curve == pytest.approx([0.5, 0.75, 0.75])
    assert found.fronts["sac"].hypervolume == pytest.approx(0.5)
    assert found.environment["python"]
    assert found.confirmed == {}
    reasons = {one.number: one.reason for one in found.trials if one.reason}
    assert reasons == {3: "stopped at rung 1", 4: "lost"}
    assert next(one for one in found.trials if one.number == 2).candidate["coding.sac.tau"] == 2.5


def test_members_have_their_metrics_by_epoch(write: Callable[..., None], read: Read) -> None:
    write([("direct", 0.5, 10.0, "COMPLETE", ""), ("sac", 0.4, 20.0, "COMPLETE", "")])
    for one in read().trials:
        for epoch, quality in ((1, 0.3), (2, 0.5)):
            Store().client.log_metric(one.run_id, "quality", quality, step=epoch)
    assert read().curves == {"0": {1: {"quality": 0.3}, 2: {"quality": 0.5}}}  # trial 1 is not on the front


def test_what_runs_comes_last_and_has_no_end(write: Callable[..., None], read: Read) -> None:
    write([("direct", 0.5, 1.0, "RUNNING", ""), ("direct", 0.5, 1e-3, "COMPLETE", "")], end=False)
    found = read()
    assert [one.number for one in found.trials] == [1, 0]
    assert math.isnan(found.trials[1].ended_s)
    assert found.seconds == found.trials[0].ended_s
    assert found.ended == ""
    assert found.quality == "accuracy"  # by the search's tag: front.json, which names it, too, is written at the end


def test_the_knee_is_the_compromise(findings: Callable[..., Findings]) -> None:
    places = [(0.1, 1.0), (0.8, 10.0), (0.9, 1e6)]
    found = findings([({"coding": "sac"}, {"quality": up, "energy_nj": across}) for up, across in places])
    assert found.knee is not None
    assert found.knee.number == 1
    assert findings([]).knee is None


def test_activity_is_read_of_the_knee_and_of_members_evenly_spaced_and_is_missing_of_earlier_trials(
    write: Callable[..., None], read: Read
) -> None:
    points = [(0.1 + 0.08 * at, 2.0**at) for at in range(10)]
    write([("sac", quality, energy, "COMPLETE", "") for quality, energy in points])
    before = read()
    assert len(before.members) == 10
    assert before.activities == {}
    made = Activity(0, 2, (LayerActivity("input", "binary", (1,), (0,), (), 0.0),))
    for trial in before.members:
        Store().client.log_text(trial.run_id, json.dumps({**made.to_dict(), "sample": trial.number}), "activity.json")

    found = read()

    assert found.knee is not None
    assert set(found.activities) == {"0", "2", "4", "5", "7", "9"} | {found.knee.name}
    assert all(str(activity.sample) == name for name, activity in found.activities.items())


def test_the_table_of_codings_says_what_share_of_the_compute_each_had(write: Callable[..., None], read: Read) -> None:
    write([("direct", 0.5, 1e-3, "COMPLETE", ""), ("sac", 1.0, HALF, "COMPLETE", ""), ("sac", 0.2, HALF, "PRUNED", "")])
    found = read()
    assert "compute" not in codings_table(found).titles  # as of a search of an earlier version
    seconds = iter((1.0, 2.0, 1.0))
    trials = [replace(one, metrics={**one.metrics, COMPUTE: next(seconds)}) for one in found.trials]
    table = codings_table(replace(found, trials=trials))
    place = list(table.titles).index("compute")
    assert {str(row.cells[0]): row.cells[place] for row in table.rows} == {
        "direct": ("25 %", 1.0),
        "sac": ("75 %", 3.0),
    }
