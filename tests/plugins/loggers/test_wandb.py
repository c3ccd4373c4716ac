"""Offline runs of Weights & Biases, read back from their files as W&B's own records."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import UsageError
from spikefront.plugins.testing import LoggerContract
from spikefront.plugins.testing.loggers import ended_before, tell

pytest.importorskip("wandb", reason="extra wandb is not installed")

from spikefront.plugins.loggers.wandb import Wandb, WandbConfig

CONTRACT = LoggerContract()
_BLOCK = 32768
_HEAD = 7


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")


def records(file: Path) -> Iterator[Any]:
    """Yield the records of an offline run: a log of LevelDB's format, in which each is a protocol buffer."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = file.read_bytes(), _HEAD, b""
    while at + _HEAD <= len(content):
        if _BLOCK - at % _BLOCK < _HEAD:  # the rest of a block is padding
            at += _BLOCK - at % _BLOCK
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts += content[at + _HEAD : at + _HEAD + length]
        at += _HEAD + length
        if kind in (1, 4):  # whole, or the last of its parts
            yield Record.FromString(parts)
            parts = b""


def read(file: Path) -> dict[str, Any]:
    """Return name, group, config and history of an offline run."""
    found: dict[str, Any] = {"history": [], "config": {}, "summary": {}}
    for record in records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found |= {"name": record.run.display_name, "group": record.run.run_group, "project": record.run.project}
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if kind == "history":
            items = record.history.item
            found["history"].append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
        if kind == "summary":
            found["summary"] |= {item.key or item.nested_key[0]: item.value_json for item in record.summary.update}
        if kind == "exit":
            found["exit"] = record.exit.exit_code
    return found


def runs(folder: Path) -> list[dict[str, Any]]:
    found, deadline = [], time.monotonic() + 20  # W&B's own process closes the files a moment later
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        while "exit" not in (run := read(file)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found.append(run)
    return found


def test_a_search_is_a_run_that_holds_every_trial(tmp_path: Path) -> None:
    logger = Wandb()
    tell(logger, CONTRACT.search(tmp_path), CONTRACT.candidate())

    (run,) = runs(tmp_path)
    assert (run["name"], run["project"], run["exit"]) == ("mine-1", "spikefront", 0)
    assert {"task": "digits", "seed": 0, "space": "whole"}.items() <= run["config"].items()
    trials = {step["trial"]: step for step in run["history"] if "trial" in step}
    assert {number: step["state"] for number, step in trials.items()} == {
        0: "COMPLETE", 1: "PRUNED", 2: "FAIL", 3: "PRUNED"
    }  # fmt: skip
    assert trials[0]["quality"] == 0.8
    assert trials[0]["hypervolume"] == pytest.approx(logger.front.hypervolume)
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/trials*.table.json")
    written = json.loads(table.read_text())
    column = {name: [row[at] for row in written["data"]] for at, name in enumerate(written["columns"])}
    assert sorted(column["trial"]) == [0, 1, 2, 3]
    assert set(column["coding"]) == {"direct"}


def test_a_resumed_search_is_a_new_run_that_holds_all_trials(tmp_path: Path) -> None:
    candidate = CONTRACT.candidate()
    tell(Wandb(), CONTRACT.search(tmp_path, earlier=ended_before(candidate)), candidate, first=5, retry_of=3)
    (run,) = runs(tmp_path)
    assert sorted(step["trial"] for step in run["history"] if "trial" in step) == list(range(9))


def test_each_trial_can_be_a_run_in_a_group(tmp_path: Path) -> None:
    candidate = CONTRACT.candidate()
    tell(Wandb(WandbConfig(runs="trial")), CONTRACT.search(tmp_path), candidate)

    found = {run["name"]: run for run in runs(tmp_path)}
    assert sorted(found) == [f"mine-1/{number}" for number in range(4)]
    assert {run["group"] for run in found.values()} == {"mine-1"}
    whole = found["mine-1/0"]
    assert candidate.flat().items() <= whole["config"].items()
    assert [(step["epoch"], step["quality"]) for step in whole["history"]] == [(1, 0.4), (2, 0.8)]
    assert (whole["exit"], found["mine-1/2"]["exit"]) == (0, 1)


def test_without_a_key_it_is_refused_before_the_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match="wandb login, or WANDB_MODE=offline"):
        Wandb()
