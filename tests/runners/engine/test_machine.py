from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikefront.runners.engine import machine
from spikefront.runners.engine.machine import cores


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of a process on a machine of 64 processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    return tmp_path / "groups"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", 64), ("400000 100000", 4), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_a_container_of_few_processors_on_a_large_machine_gets_as_many_workers(
    groups: Path, limit: str, expected: int
) -> None:
    write(groups.parent / "own", "0::/")
    write(groups / "cpu.max", limit)
    assert cores() == expected


def test_the_tightest_group_around_the_process_counts(groups: Path) -> None:
    write(groups.parent / "own", "0::/batch/job")
    write(groups / "batch" / "cpu.max", "300000 100000")
    write(groups / "batch" / "job" / "cpu.max", "max 100000")
    assert cores() == 3


def test_groups_of_the_first_version_count_too(groups: Path) -> None:
    write(groups.parent / "own", "5:memory:/job\n3:cpu,cpuacct:/job")
    write(groups / "cpu,cpuacct" / "job" / "cpu.cfs_quota_us", "200000")
    write(groups / "cpu,cpuacct" / "job" / "cpu.cfs_period_us", "100000")
    assert cores() == 2
    write(groups / "cpu,cpuacct" / "job" / "cpu.cfs_quota_us", "-1")
    assert cores() == 64


@pytest.mark.parametrize("own", [None, "", "nonsense"])
def test_all_processors_count_where_there_are_no_groups(groups: Path, own: str | None) -> None:
    if own is not None:
        write(groups.parent / "own", own)
    assert cores() == 64
