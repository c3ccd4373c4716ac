"""What ``run`` says at its end, and its exit code."""

from __future__ import annotations

import pytest

from spikefront.runners.engine.search import SearchOutcome
from spikefront.search import _say_outcome


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
