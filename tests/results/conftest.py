from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spikefront.results.store.connection import Store
from spikefront.searchspace import ENERGY, Candidate, Objective, Part, SearchInfo, Training, Value
from spikefront.searchspace.objectives import quality_objective

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium, which nobody sees."""
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright (no browser needed)")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses to run for root
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=root)
        yield browser
        browser.close()


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
