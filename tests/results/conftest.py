from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from spikefront.results.findings import Findings, read_findings
from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import ENERGY, Candidate, Float, Objective, Part, SearchInfo, State, Training, Trial, Value
from spikefront.searchspace.objectives import quality_objective

QUALITY = quality_objective(maximize=True, worst=0.0, best=1.0)


@dataclass(frozen=True, slots=True)
class Nothing:
    """No hyperparameters."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, as if the user had set nothing up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty MLflow database once; it takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    with contextlib.chdir(folder):
        Store().client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def database(new_database: Path, own_folder: None, tmp_path: Path) -> None:
    """Have an empty MLflow database in this folder. Artifacts go beside the original."""
    shutil.copy(new_database, tmp_path / "mlflow.db")


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    def make(coding: str = "direct", steps: int = 4) -> Candidate:
        def part(name: str) -> Part:
            return Part(name, Nothing())

        training = Training(part("adam"), part("atan"))
        return Candidate(part("digits"), part(coding), part("lif"), part("convnet"), training, steps)

    return make


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., SearchInfo]:
    def make(
        name: str = "digits-1",
        trials: int | None = 10,
        time_s: float | None = None,
        objectives: tuple[Objective, ...] = (QUALITY, ENERGY),
    ) -> SearchInfo:
        folder = tmp_path / "searches" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "journal.log").write_text("a journal\n")
        plugins = {"task.digits": "0.1.0", "coding.direct": "0.1.0", "coding.sac": "sha256:1", "energy.loihi": "2.0"}
        plugins |= {"optimizer.adam": "0.1.0", "surrogate.atan": "0.2.0"}
        options: dict[str, Value] = {"seed": 3, "energy": "loihi", "tracking_uri": "http://me:secret@server"}
        options["space.--set steps=4"] = "steps"
        return SearchInfo(
            name, "digits", "accuracy", objectives, folder, trials, time_s, options, plugins, energy_model="loihi"
        )

    return make


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
