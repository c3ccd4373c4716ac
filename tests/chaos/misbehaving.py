"""Codings that crash, hang or give invalid numbers: a loose plugin file that the tests copy to a folder."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Neuron, Signal, hookimpl
from spikefront.plugins.codings.rate import Rate

HERE = Path(__file__).parent


def hang() -> None:
    """Hang in C code that keeps Python's lock."""
    ctypes.PyDLL(None).sleep(3600)


class Exits(Rate):
    name = "exits"

    def encode(self, x: Tensor) -> Signal:
        os._exit(3)


class KillsItself(Rate):
    name = "kills-itself"

    def encode(self, x: Tensor) -> Signal:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(x)


class IsKilled(Rate):
    """Waits to be killed from outside, once."""

    name = "is-killed"

    def encode(self, x: Tensor) -> Signal:
        victim = HERE / "victim"
        if not victim.exists() and not x.is_meta:  # not in the counting process
            (HERE / "victim.part").write_text(str(os.getpid()))
            (HERE / "victim.part").rename(victim)
            time.sleep(3600)
        return super().encode(x)


class GivesNan(Rate):
    name = "gives-nan"

    def penalty(self) -> Tensor | float:
        return torch.tensor(torch.nan)


class GivesInfinity(Rate):
    name = "gives-infinity"

    def metrics(self) -> Mapping[str, float]:
        return {"energy_nj": float("inf")}


class MissesAMetric(Rate):
    name = "misses-a-metric"

    def metrics(self) -> Mapping[str, float]:
        return {"quality": None}  # type: ignore[dict-item]  # under test


class Swells(Rate):
    name = "swells"

    def encode(self, x: Tensor) -> Signal:
        return Signal(x.new_zeros(2**46), self.steps, Kind.ANALOG)


class Hoards(Rate):
    """Allocates as much memory as a file says."""

    name = "hoards"

    def encode(self, x: Tensor) -> Signal:
        if not x.is_meta:
            hoard = bytearray(int((HERE / "hoard").read_text()))
            hoard[:: os.sysconf("SC_PAGESIZE")] = b"1" * len(range(0, len(hoard), os.sysconf("SC_PAGESIZE")))
            time.sleep(60)
        return super().encode(x)


class HangsInAnEpoch(Rate):
    name = "hangs-in-an-epoch"
    epochs = 0

    def encode(self, x: Tensor) -> Signal:
        if self.epochs:
            hang()
        return super().encode(x)

    def metrics(self) -> Mapping[str, float]:
        self.epochs += 1
        return {}


class HangsBeforeTheFirst(Rate):
    name = "hangs-before-the-first"

    def bind(self, neuron: Neuron) -> None:
        hang()


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    for coding in (Exits, KillsItself, IsKilled, GivesNan, GivesInfinity, MissesAMetric, Swells):
        register(coding)
    register(Hoards)
    register(HangsInAnEpoch)
    register(HangsBeforeTheFirst)
