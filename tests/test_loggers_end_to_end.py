"""Loggers of a real search whose driver is killed, and that is resumed: each has every trial."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # it starts Ray twice

FAULTY = """
from spikefront.plugins import Logger, hookimpl

class Faulty(Logger):
    '''A logger whose disk is full.'''
    name = "faulty"

    def epoch_ended(self, number, epoch, metrics):
        raise OSError("disk full")

@hookimpl
def register_loggers(register):
    register(Faulty)
"""
NAMED = ("jsonl", "tensorboard", "faulty")
SEARCH = (
    *("run", "--task", "digits", "--name", "a", "--trials", "8", "--epochs", "4", "--workers", "2"),
    *("--set", "backbone=mlp", "--set", "coding=direct,latency", "--plugins-dir", "mine"),
    *(word for name in NAMED for word in ("--logger", name)),
)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "SPIKEFRONT_"))}
    command = [sys.executable, "-m", "spikefront", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=clean, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def events(folder: Path) -> list[dict[str, Any]]:
    file = folder / "searches" / "a" / "events.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def ends(folder: Path) -> list[int]:
    return [event["trial"] for event in events(folder) if event["event"] == "trial_ended"]


def test_each_logger_has_every_trial_of_a_search_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "faulty.py").write_text(FAULTY)
    killed = start(tmp_path, *SEARCH)
    deadline = time.monotonic() + 300
    while len(ends(tmp_path)) < 3:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    resumed = start(tmp_path, "run", "--resume", "a")
    out, err = resumed.communicate(timeout=400)
    assert resumed.returncode == 0, err
    assert (out + err).count("logger faulty: epoch_ended raised OSError: disk full") == 1
    told = events(tmp_path)
    assert [event["resumed"] for event in told if event["event"] == "search_started"] == [False, True]
    assert [event["reason"] for event in told if event["event"] == "search_ended"] == ["all trials done"]
    begun = {event["trial"] for event in told if event["event"] == "trial_started"}
    assert len(ends(tmp_path)) == len(set(ends(tmp_path)))
    assert begun <= set(ends(tmp_path))
    complete = [event for event in told if event.get("state") == "COMPLETE"]
    stopped = [event for event in told if event.get("state") == "PRUNED"]
    assert len(complete) + len(stopped) == 8
    again = [event["retry_of"] for event in told if event.get("retry_of") is not None]
    assert {event["trial"] for event in told if event.get("state") == "FAIL"} == set(again)
    runs = {path.parent.name for path in (tmp_path / "searches" / "a" / "tensorboard").glob("*/*.whole")}
    assert {int(name.partition("-")[0]) for name in runs} == set(ends(tmp_path))
