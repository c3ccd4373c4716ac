from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import pytest

from spikefront.results.report.findings import Findings, read_findings
from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import ENERGY, Candidate, Float, Part, SearchInfo, State, Trial
from spikefront.searchspace.objectives import quality_objective

Run = tuple[str, float, float, State | Literal["RUNNING"], str]
"""Coding, quality, energy, state, reason."""
Write = Callable[..., None]
Read = Callable[..., Findings]


@dataclass(frozen=True, slots=True)
class Tau:
    """One hyperparameter."""

    tau: Annotated[float, Float(0.1, 1e6)] = 2.0


@pytest.fixture
def write(database: None, search: Callable[..., SearchInfo], candidate: Callable[..., Candidate]) -> Write:
    """Write a search as the engine has it written, trials one after the other."""

    def write(runs: Iterable[Run], name: str = "digits-1", end: bool = True, more: Mapping[str, float] = {}) -> None:
        store = MlflowRecorder(Store())
        store.search_started(search(name))
        for number, (coding, quality, energy, state, reason) in enumerate(runs):
            store.trial_started(number, replace(candidate(), coding=Part(coding, Tau(number + 0.5))))
            metrics = {"quality": quality, "energy_nj": energy, **more}
            if state != "RUNNING":
                store.trial_ended(number, state, reason, metrics, None)
        if end:
            store.search_ended("all trials done")
        else:
            store._writer.close()

    return write


@pytest.fixture
def read() -> Read:
    """Read the findings of a search in this folder's store, of the newest without a name."""
    return lambda name=None: read_findings(StoredSearch.open(Store(), name))


@pytest.fixture
def findings() -> Callable[..., Findings]:
    """Make findings of trials with these params and metrics, without a store."""

    def make(trials: Iterable[tuple[Mapping[str, str], Mapping[str, float]]], **more: Any) -> Findings:
        ended = [
            Trial(number, "COMPLETE", params, metrics, ended_s=float(number), run_id=f"{number:032x}")
            for number, (params, metrics) in enumerate(trials)
        ]
        axes = (quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY)
        about: dict[str, Any] = {"name": "s", "task": "digits", "quality": "accuracy", "objectives": axes}
        about |= {"run_id": "0" * 32, "options": {}, "ended": "all trials done", "began": 0}
        return Findings(**(about | {"seconds": float(len(ended)), "trials": ended} | more))

    return make
