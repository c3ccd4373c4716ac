from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
import ray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from spikefront.plugins import load_registry
from spikefront.runners.engine.placing.data import share
from spikefront.runners.engine.placing.session import DRIVER_ENVIRONMENT, RaySession, environment
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.search import SearchOutcome, SearchRun
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import Callbacks, Candidate, SearchInfo, State

Searched = tuple[SearchOutcome, "Diary", list[optuna.trial.FrozenTrial]]


@pytest.fixture
def local_ray() -> Iterator[None]:
    """Start Ray on this machine, as a search does, for four workers."""
    with environment(DRIVER_ENVIRONMENT):
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


class Diary(Callbacks):
    """Writes down each event."""

    def __init__(self) -> None:
        self.info: SearchInfo | None = None
        self.candidates: dict[int, Candidate] = {}
        self.epochs: dict[int, list[int]] = {}
        self.ends: dict[int, tuple[str, str, dict[str, float], Path | None]] = {}
        self.reason = ""
        self.tracebacks: dict[int, str] = {}
        self.faults: list[str] = []  # an assertion here would only be a warning of the search

    def search_started(self, search: SearchInfo) -> None:
        self.info = search

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self.candidates[number] = candidate

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self.epochs.setdefault(number, []).append(epoch)

    def trial_raised(self, number: int, traceback: str) -> None:
        if number in self.ends:
            self.faults.append(f"the traceback of trial {number} came after its end")
        self.tracebacks[number] = traceback

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        if number in self.ends:
            self.faults.append(f"trial {number} ended twice")
        self.ends[number] = (state, reason, dict(metrics), weights)

    def search_ended(self, reason: str) -> None:
        self.reason = reason


def search_inside(settings: SearchSettings, diary: Diary | None = None) -> Searched:
    """Search inside a Ray session that has started."""
    plan = SearchPlan(settings, load_registry(settings.plugin_folders, third_parties=False))
    diary = diary or Diary()
    outcome = SearchRun(plan).execute(share(plan.read_data(), type(plan.task)), diary)
    assert diary.faults == []
    storage = JournalStorage(JournalFileBackend(str(settings.journal)))
    return outcome, diary, optuna.load_study(study_name="s", storage=storage).get_trials()


@pytest.fixture
def quick_settings(tmp_path: Path) -> Callable[..., SearchSettings]:
    """Return settings of a search of small networks on few samples."""

    def make(*narrow: str, epochs: int = 2, **more: Any) -> SearchSettings:
        quick = ("backbone=mlp", f"training.epochs={epochs}", "training.subset=128")
        options = {"workers": 2, "early_stopping": False, **more}
        return SearchSettings("digits", name="s", folder=tmp_path, space=(*quick, *narrow), **options)

    return make


@pytest.fixture(scope="module")
def ray_of_two() -> Iterator[None]:
    """Start Ray for two workers, once for the searches of a module."""
    with RaySession(SearchSettings("digits", name="shared", workers=2)) as session:
        session.wait()
        yield


@pytest.fixture
def search(ray_of_two: None, quick_settings: Callable[..., SearchSettings]) -> Callable[..., Searched]:
    """Search really, in the Ray session of the module."""
    return lambda *narrow, **more: search_inside(quick_settings(*narrow, **more))


@pytest.fixture
def search_alone(quick_settings: Callable[..., SearchSettings]) -> Callable[..., Searched]:
    """Search really, in a Ray session of its own."""

    def run(*narrow: str, diary: Diary | None = None, **more: Any) -> Searched:
        settings = quick_settings(*narrow, **more)
        with RaySession(settings) as session:
            session.wait()
            return search_inside(settings, diary)

    return run
