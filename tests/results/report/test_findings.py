"""Values are computed by hand: quality from 0 to 1, energy from 1 nJ to 10 mJ, seven decades."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from spikefront.results.queries import open_existing, searches
from spikefront.results.report.findings import Findings, Judged, _from_client, _from_tables, read_findings
from spikefront.results.store.connection import open_client, resolve_uri
from spikefront.searchspace import UnknownName, UsageError

HALF = 10**3.5


def told(trial: Judged) -> str:
    """Return all of a trial as text, in which NaN equals itself."""
    values = [getattr(trial, each.name) for each in fields(trial)]
    return repr([sorted(value.items()) if isinstance(value, dict) else value for value in values])


def test_a_search_is_read_with_all_that_its_store_left(write: Callable[..., None]) -> None:
    runs = [
        ("direct", 0.5, 1.0, "COMPLETE", ""),
        ("sac", 1.0, HALF, "COMPLETE", ""),
        ("sac", 0.2, HALF, "COMPLETE", ""),
        ("sac", 0.9, 2.0, "PRUNED", "stopped at rung 1"),
        ("gac", 0.9, math.nan, "FAIL", "lost"),
    ]
    write(runs)
    found, _ = read_findings()
    assert (found.name, found.task, found.quality, found.ended) == ("digits-1", "digits", "accuracy", "all trials done")
    assert found.options["seed"] == "3"
    assert {one.tags["plugin.energy"] for one in found.trials} == {"loihi 2.0"}
    assert sorted(one.number for one in found.trials) == [0, 1, 2, 3, 4]
    assert [one.number for one in found.judged] == [0, 1, 2]
    assert [one.number for one in found.front] == [0, 1]
    assert found.codings == ("direct", "gac", "sac")
    assert found.hypervolume.tolist() == pytest.approx([0.5, 0.75, 0.75])
    assert found.hypervolume_of([one for one in found.judged if one.coding == "sac"]) == pytest.approx(0.5)
    assert found.environment["python"]
    assert found.confirmed == {}
    reasons = {one.number: one.reason for one in found.trials if one.reason}
    assert reasons == {3: "stopped at rung 1", 4: "lost"}
    assert next(one for one in found.trials if one.number == 2).params["coding.sac.tau"] == "2.5"


def test_tables_say_what_mlflow_says(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", ""), ("sac", math.nan, math.inf, "FAIL", "not finite")])
    client, home = open_existing(None, None)
    (run,) = searches(client, home, "digits-1")
    client.log_metric(next(iter(_from_client(client, home, run))).run_id, "test.quality", 0.4)
    one, other = _from_tables(Path("mlflow.db"), run), _from_client(client, home, run)
    assert sorted(map(told, one)) == sorted(map(told, other))
    assert len(one) == 2
    assert not any(name.startswith("test.") for trial in one for name in trial.metrics)


def test_a_trial_judged_again_counts_once_and_a_stranger_does_not(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "FAIL", "lost"), ("direct", 0.5, 1.0, "COMPLETE", "")])
    client = open_client(resolve_uri())
    found, _ = read_findings()
    client.set_tag(next(one for one in found.trials if one.number == 1).run_id, "trial.retry_of", "0")
    client.create_run("0", tags={"mlflow.parentRunId": found.run_id})
    again, _ = read_findings("digits-1")
    assert [one.number for one in again.trials] == [1]


def test_what_runs_comes_last_and_has_no_end(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "RUNNING", ""), ("direct", 0.5, 1.0, "COMPLETE", "")], end=False)
    found, _ = read_findings()
    assert [one.number for one in found.trials] == [1, 0]
    assert math.isnan(found.trials[1].ended)
    assert found.seconds == found.trials[0].ended
    assert found.ended == ""
    assert found.quality == "accuracy"  # by the search's tag: front.json, which names it, too, is written at the end


def test_the_newest_search_is_the_default_and_an_unknown_one_is_refused(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="one")
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="two")
    assert read_findings()[0].name == "two"
    assert read_findings("one")[0].name == "one"
    with pytest.raises(UnknownName, match=r"unknown search 'ones'\. Did you mean 'one'\?"):
        read_findings("ones")


def test_no_search_at_all(database: None) -> None:
    with pytest.raises(UsageError, match=r"no search found in sqlite:///.*; run: spikefront run"):
        read_findings()


def test_the_knee_is_the_compromise(findings: Callable[..., Findings]) -> None:
    places = [(0.1, 1.0), (0.8, 10.0), (0.9, 1e6)]
    found = findings([({"coding": "sac"}, {"quality": up, "energy_nj": across}) for up, across in places])
    assert found.knee is not None
    assert found.knee.number == 1
    assert findings([]).knee is None
