"""A search from the command line is there in MLflow's own user interface: over HTTP, and in a browser."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.conftest import MlflowServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRIALS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a search that leaves its runs in the default store, and return its folder."""
    folder = tmp_path_factory.mktemp("ui")
    asked = f"run --task digits --name seen --trials {TRIALS} --epochs 1 --set backbone=mlp --set coding=direct,latency"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "spikefront.search", *asked.split()]
    subprocess.run(command, cwd=folder, env=clean, check=True, capture_output=True, timeout=200)
    return folder


@pytest.fixture(scope="module")
def ui(folder: Path, start_mlflow: Callable[..., MlflowServer]) -> str:
    """Start MLflow's user interface as the README says, and return its address."""
    (command,) = re.findall(r"`mlflow (ui [^`]+)`", (ROOT / "README.md").read_text().replace("\n", " "))
    return start_mlflow(folder, *shlex.split(command)).uri


def ask(url: str, body: dict[str, Any] | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})) as answer:
        content: bytes = answer.read()
    return content


def runs(ui: str, wanted: str) -> list[dict[str, Any]]:
    found = json.loads(ask(f"{ui}/api/2.0/mlflow/runs/search", {"experiment_ids": ["0"], "filter": wanted}))
    listed: list[dict[str, Any]] = found.get("runs", [])
    return listed


def named(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in pairs}


@pytest.fixture(scope="module")
def parent(ui: str) -> dict[str, Any]:
    """Return the search's run."""
    (run,) = runs(ui, "tags.search = 'seen' and tags.`spikefront.role` = 'search'")
    return run


def test_the_search_its_trials_and_what_it_ran_with_are_there(ui: str, parent: dict[str, Any]) -> None:
    tags, params = named(parent["data"]["tags"]), named(parent["data"]["params"])
    assert (parent["info"]["run_name"], parent["info"]["status"]) == ("seen", "FINISHED")
    assert tags["search.quality"] == "accuracy"
    assert {"seed": "0", "sampler": "evolution", "energy_model": "horowitz-45nm", "early_stopping": "True"}.items() <= (
        params.items()
    )
    assert int(params["workers"]) > 0
    of_it = f"tags.`mlflow.parentRunId` = '{parent['info']['run_id']}'"
    children = runs(ui, f"{of_it} and tags.`spikefront.role` = 'trial'")
    assert sorted(named(run["data"]["tags"])["trial.number"] for run in children) == ["0", "1", "2"]
    for run in children:
        metrics = named(run["data"]["metrics"])
        assert metrics["accuracy"] == metrics["quality"]


def test_the_report_is_an_artifact_that_the_server_hands_out(ui: str, parent: dict[str, Any], folder: Path) -> None:
    run = parent["info"]["run_id"]
    listed = json.loads(ask(f"{ui}/api/2.0/mlflow/artifacts/list?{urlencode({'run_id': run})}"))
    assert {"report.html", "front.json", "journal.log"} <= {entry["path"] for entry in listed["files"]}

    page = ask(f"{ui}/get-artifact?{urlencode({'run_id': run, 'path': 'report.html'})}").decode()

    (kept,) = (folder / "mlruns").rglob("report.html")
    assert page == kept.read_text()
    assert page.startswith("<!doctype html>")
    for number in range(TRIALS):
        assert named(runs(ui, f"tags.`trial.number` = '{number}'")[0]["data"]["params"])["coding"] in page


def test_a_browser_shows_the_search_over_its_trials_and_the_report(
    ui: str, parent: dict[str, Any], browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(f"{ui}/#/experiments/0/runs")
    page.get_by_role("link", name="seen", exact=True).wait_for(timeout=60_000)

    page.goto(f"{ui}/#/experiments/0/runs/{parent['info']['run_id']}/artifacts/report.html")
    shown = page.frame_locator("iframe").get_by_role("heading", level=1)
    shown.wait_for(timeout=60_000)
    assert "seen" in shown.inner_text()
    page.close()
