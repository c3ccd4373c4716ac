from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pytest

from spikefront.results.report.findings import Findings, Judged
from spikefront.results.store.recorder import MlflowStore
from spikefront.searchspace import ENERGY, Candidate, Float, Objective, Part, SearchInfo

HALF = 10**3.5
"""Energy in the middle of the axis, in nanojoules."""

Run = tuple[str, float, float, str, str]
"""Coding, quality, energy, state, reason."""
Write = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Tau:
    """One hyperparameter."""

    tau: Annotated[float, Float(0.1, 1e6)] = 2.0


@pytest.fixture
def write(database: None, search: Callable[..., SearchInfo], candidate: Callable[..., Candidate]) -> Write:
    """Write a search as the engine has it written, trials one after the other."""

    def write(runs: Iterable[Run], name: str = "digits-1", end: bool = True, more: Mapping[str, float] = {}) -> None:
        store = MlflowStore()
        store.search_started(search(name))
        for number, (coding, quality, energy, state, reason) in enumerate(runs):
            store.trial_started(number, replace(candidate(), coding=Part(coding, Tau(number + 0.5))))
            metrics = {"quality": quality, "energy_nj": energy, **more}
            if state != "RUNNING":
                store.trial_ended(number, state, reason, metrics, None)
        store.wait_until_open()
        if end:
            store.search_ended("all trials done")
        else:
            store._writer.close()

    return write


@pytest.fixture
def findings() -> Callable[..., Findings]:
    """Make findings of trials with these params and metrics, without a store."""

    def make(trials: Iterable[tuple[Mapping[str, str], Mapping[str, float]]], **more: Any) -> Findings:
        judged = tuple(
            Judged(number, f"{number:032x}", "COMPLETE", "", float(number), params, metrics, {})
            for number, (params, metrics) in enumerate(trials)
        )
        axes = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
        about: dict[str, Any] = {"name": "s", "task": "digits", "quality": "accuracy", "axes": axes, "run_id": "0" * 32}
        about |= {"options": {}, "ended": "all trials done", "began": 0, "seconds": float(len(judged))}
        return Findings(**(about | {"trials": judged} | more))

    return make
