"""Probing a task on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.store.schema import PROBED_FILE
from spikefront.searchspace import ENERGY, SearchInfo
from spikefront.searchspace.objectives import quality_objective

Command = Callable[..., Any]
QUICK = ("--set", "backbone=mlp", "--set", "training.subset=400", "--epochs", "3", "--workers", "2")


def test_a_task_is_probed_training_by_training_and_a_search_keeps_the_answer(command: Command, tmp_path: Path) -> None:
    recorder = MlflowRecorder(Store())
    axes = (quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY)
    recorder.search_started(SearchInfo("s1", "digits", "accuracy", axes, tmp_path, 1, None, {}, {}, inputs="static"))
    recorder.search_ended("all trials done")
    said = command("probe", "digits", *QUICK, "--seeds", "2", "--format", "json", "--search", "s1")
    assert said.code == 0
    search = StoredSearch.open(Store(), "s1")
    assert search.inputs == "static"
    kept = search.artifact(PROBED_FILE)
    assert (kept["needs_order"], kept["needs_time"]) == ("no", "no")
    assert [row["variant"] for row in kept["variants"]] == [row["variant"] for row in json.loads(said.out)]
    report = Path(search.store.client.download_artifacts(search.run_id, "report.html", str(tmp_path)))
    assert kept["answer"][0] in report.read_text()
    assert command("probe", "mnist1d", "--search", "s1").problem() == "search s1 is on task digits, not mnist1d"
    assert command("probe", "digits", "--search", "s2").problem().startswith("unknown search 's2'")
    rows = {row["variant"]: row for row in json.loads(said.out)}
    assert list(rows) == ["full", "shuffle", "shuffle-each", "sum", "last", "NoTD", "SDBP"]
    assert {row["seeds"] for row in rows.values()} == {2}
    assert rows["full"]["quality"] > 0.5
    assert [rows[name]["costs"] for name in ("shuffle", "shuffle-each", "sum")] == [0, 0, 0]
    for row in rows.values():
        assert (row["costs"] or 0) == pytest.approx(rows["full"]["quality"] - row["quality"], abs=1e-12)
    head, *trainings = said.err.splitlines()[:9]
    assert head == "probe of digits direct lif mlp T=4: 4 variants x 2 seeds, 3 epochs each"
    assert [line.partition(":")[0] for line in trainings] == [f"{number} of 8" for number in range(1, 9)]
    assert said.err.splitlines()[9].startswith("digits needs neither order nor time: an input is one point")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("digits --seeds 1", "--seeds 1 must be from 2 to 1000; 5 give a useful interval"),
        ("digits --epochs 0", "--epochs 0 must be from 1 to 10000"),
        ("digits --equivalent -1", "--equivalent -1 must be 0 or more, in the unit of quality"),
        ("digits --gpus-per-training -1", "--gpus-per-training -1 must be 0 or more"),
        ("digits --workers 0", "--workers 0 must be above 0"),
        ("digits --data-dir none", "--data-dir none: no such folder or file"),
        ("digits --plugins-dir none", "--plugins-dir none: no such folder"),
        ("digits --set task=mnist1d", "digits and --set task=mnist1d are two different ones; give one of them"),
        ("digits --epochs 2 --set training.epochs=3", "--epochs 2 and --set training.epochs=3: give one of them"),
        (
            "digits --set steps=2..4",
            "--set steps=2..4: a candidate has one value of each hyperparameter: give NAME=VALUE",
        ),
        (
            "digits --set coding=rate-conversion",
            "coding 'rate-conversion' converts an ANN, which has no time; a probe trains through time",
        ),
        ("digits-generation", "task 'digits-generation' generates images; a probe takes tasks that answer to an input"),
        ("mnist1d --set steps=50", "steps (sequences of 40 points): 50 is outside 40..1000 (step 40)"),
    ],
)
def test_what_can_not_be_probed_is_told_in_one_line(command: Command, asked: str, problem: str) -> None:
    assert command("probe", *asked.split()).problem() == problem


def test_an_unknown_task_is_told_with_the_nearest(command: Command) -> None:
    assert command("probe", "dgits").problem().startswith("unknown task 'dgits'. Did you mean 'digits'?")
