"""What ``run`` leaves and says at its end, and its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.runners.engine.search import SearchOutcome
from spikefront.runners.engine.settings import read_settings
from spikefront.search import _keep_report, _record, _say_outcome
from spikefront.searchspace import parse_set


def outcome(judged: int, reason: str = "all trials done") -> SearchOutcome:
    return SearchOutcome({"PRUNED": 3}, judged, reason, seconds=8.0, finished=True)


def test_search_that_was_resumed_for_trials_that_all_stopped_early_has_still_succeeded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _say_outcome(outcome(judged=2), "s", {"tracking_uri": "sqlite:///other dir/m.db"})
    said = capsys.readouterr().out
    assert "s: all trials done; 0 judged, 0 failed, 3 stopped early, in 8 s\n" in said
    assert "front: spikefront pareto --search s --tracking-uri 'sqlite:///other dir/m.db'\n" in said


@pytest.mark.parametrize("ended", [outcome(judged=0), outcome(judged=2, reason="broken off: disk full")])
def test_search_that_found_nothing_or_broke_off_exits_with_1(ended: SearchOutcome) -> None:
    with pytest.raises(SystemExit) as exit_:
        _say_outcome(ended, "s", {})
    assert exit_.value.code == 1


def test_a_search_without_a_report_is_a_search_still(capsys: pytest.CaptureFixture[str]) -> None:
    _keep_report("gone", {"tracking_uri": "sqlite:///none.db"})
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("spikefront: warning: the search has no report (no search found in sqlite:///")
    assert line.endswith("); spikefront report gone")
    assert list(Path().iterdir()) == []


def test_what_a_search_runs_with_is_recorded_whether_it_was_asked_for_or_not() -> None:
    asked = {"task": "digits", "time": "90m", "sampler": "gp", "rungs": "0.2", "early_stopping": False, "workers": 3}
    record = _record(asked, [parse_set("steps=4")], read_settings(asked, "d", resume=False))
    assert record == {
        "task": "digits",
        "time": "90m",
        "sampler": "gp",
        "rungs": "0.2",
        "early_stopping": "False",
        "workers": "3",
        "space": "steps=4",
        # what follows nobody asked for; a search with a time has no number of trials
        "seed": "0",
        "priors": "False",
        "cost_aware": "True",
        "reduction": "3",
        "tell_stopped": "pruned",
        "epoch_timeout": "1h00m",
        "gpus_per_trial": "0.0",
        "energy_model": "horowitz-45nm",
        "name": "d",
        "folder": "searches",
    }
    by_default = _record({"task": "digits"}, [], read_settings({"task": "digits"}, "d", resume=False))
    assert (by_default["trials"], by_default["rungs"], by_default["space"]) == ("24", "0.15,0.45", "whole")
