"""The processors of this machine that a search may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def cores() -> int:
    """Return the processors this process may use: those of its affinity, or the share that its container is given."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share = min(_shares(_GROUPS, _OWN_GROUPS.read_text()), default=float(allowed))
    except (OSError, ValueError):
        return allowed
    return max(1, min(allowed, int(share)))


def _shares(mounted: Path, own: str) -> Iterator[float]:
    """Yield the processors that each control group of this process may use, where one is limited.

    Args:
        mounted: where control groups are mounted.
        own: the groups of this process, as the kernel lists them.
    """
    for line in own.splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mounted / controllers
        for folder in (PurePosixPath(group), *PurePosixPath(group).parents):  # a limit holds for all groups inside
            here = root / str(folder).lstrip("/")
            if controllers:  # version 1
                quota, period = _text(here / "cpu.cfs_quota_us"), _text(here / "cpu.cfs_period_us")
            else:
                quota, _, period = _text(here / "cpu.max").partition(" ")
            if quota and period and quota not in ("max", "-1"):
                yield int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # no limit there, or a group outside of the container
        return ""
