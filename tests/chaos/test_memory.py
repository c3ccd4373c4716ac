"""A worker that takes more memory than Ray allows is killed by Ray, and the search goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from optuna.trial import TrialState

from spikefront.runners.failures import LOST_WORKER

if TYPE_CHECKING:
    from tests.chaos.conftest import Search

TRIALS = 6
SPARE, HOARD = 4 * 2**30, 6 * 2**30
"""Additional bytes that Ray allows, and bytes that a candidate takes."""


@pytest.mark.skipif("SPIKEFRONT_CHAOS" not in os.environ, reason="takes 6 GiB; make chaos runs it")
@pytest.mark.timeout(300)
def test_a_worker_that_runs_out_of_memory_fails_its_trial_alone(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {line[0]: 1024 * int(line[1]) for line in lines}
    total, available = memory["MemTotal:"], memory["MemAvailable:"]
    if available < HOARD + 2**30:
        pytest.skip("there is not that much memory")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{(total - available + SPARE) / total:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    plugins = search.folder / "mine"
    plugins.mkdir()
    shutil.copy(Path(__file__).with_name("misbehaving.py"), plugins)
    (plugins / "hoard").write_text(str(HOARD))
    narrowed = ("coding=hoards,rate", "backbone=mlp", "training.subset=128", "training.epochs=3")
    arguments = f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1 --plugins-dir mine --no-early-stopping"
    narrowing = (part for text in narrowed for part in ("--set", text))
    out = search.wait(search.start(*arguments.split(), *narrowing))

    judged = [trial for trial in search.trials() if trial.state is TrialState.COMPLETE]
    assert out.startswith(f"s: all trials done; {len(judged)} judged, {TRIALS - len(judged)} failed")
    search.check_journal(TRIALS)
    search.check_nothing_is_left_over()
    assert {trial.user_attrs["candidate"]["coding"] for trial in judged} == {"rate"}
    hoarded = [trial for trial in search.trials() if trial.user_attrs["candidate"]["coding"] == "hoards"]
    assert hoarded
    for trial in hoarded:
        reason = trial.user_attrs["outcome"]["reason"]
        assert reason == LOST_WORKER
