"""The examples of docs/mlflow.md do what the page says, with MLflow's client and against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spikefront.plugins import load_registry
from spikefront.results.named_trials import find_run
from spikefront.results.queries import pareto
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.store.registered import register_model
from spikefront.runners.deploy.description import describe
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import Candidate, SearchInfo
from spikefront.searchspace.trial import DataSplit

if TYPE_CHECKING:
    from tests.conftest import MlflowServer

pytestmark = pytest.mark.slow

SPLITS = {"training": 1078, "validation": 359}
PAGE = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()


def examples(language: str) -> dict[str, str]:
    """Return the example in a language by the question above it."""
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)[1:]
    found = {title: re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
             for title, text in zip(parts[::2], parts[1::2], strict=True)}  # fmt: skip
    assert all(len(blocks) <= 1 for blocks in found.values())
    return {title: blocks[0] for title, blocks in found.items() if blocks}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start_mlflow: Callable[..., MlflowServer]) -> str:
    """Start MLflow's server over a new database."""
    return start_mlflow(tmp_path_factory.mktemp("server")).uri


@pytest.fixture
def asked(
    server: str,
    search: Callable[..., SearchInfo],
    candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Have a search digits-1 on the server, and one beside it whose runs must not show up."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    if _names(server):
        return server
    for name in ("digits-0", "digits-1"):
        recorder = MlflowRecorder(Store())
        splits = [DataSplit(split, split[0] * 16, (count, 1, 8, 8), "uint8") for split, count in SPLITS.items()]
        recorder.search_started(replace(search(name), data=tuple(splits)))
        # (quality, energy): from the line between 0 and 3 (.1 + .2 decades) trial 1 rises .4, trial 2 .3
        points = [(0.1, 1.0), (0.7, 10.0), (0.8, 100.0), (0.9, 1e4), (0.05, 1.0), (0.6, 50.0)]
        for number, (quality, energy) in enumerate(points):
            recorder.trial_started(number, candidate("sac" if number % 2 else "rate"))
            metrics = {"quality": quality, "energy_nj": energy, "latency_steps": 4.0}
            recorder.trial_ended(number, "COMPLETE", "", metrics, None)
        recorder.trial_started(6, candidate())
        recorder.trial_ended(6, "FAIL", "it broke", {}, None)
        recorder.search_ended("done")
    return server


def _names(server: str) -> list[str]:
    import mlflow

    runs = mlflow.MlflowClient(server).search_runs(["0"], "tags.`spikefront.role` = 'search'")
    return [run.data.tags["search"] for run in runs]


def by_python(title: str, **names: Any) -> dict[str, Any]:
    exec(compile(examples("python")[title], f"docs/mlflow.md: {title}", "exec"), names)
    return names


def by_rest(title: str, server: str) -> Any:
    script = examples("sh")[title]
    assert "http://127.0.0.1:5000" in script
    if shutil.which("curl") is None:
        pytest.skip("the page asks with curl; install it, for example: apt-get install curl")
    done = subprocess.run(
        ["bash", "-e"],
        input=script.replace("http://127.0.0.1:5000", server),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _tags(answer: Any, tag: str) -> list[str]:
    return [next(each["value"] for each in run["data"]["tags"] if each["key"] == tag) for run in answer["runs"]]


@pytest.mark.parametrize(
    ("title", "ours", "numbers"),
    [
        ("What is on the front?", {}, ["0", "1", "2", "3"]),
        (
            "What is good enough, within my budget?",
            {"max_energy_nj": 500.0, "max_latency": 8.0, "min_quality": 0.6, "coding": ["sac"], "order": "quality"},
            ["1"],
        ),
        ("Which point is the best compromise?", {"knee": True}, ["1"]),
        ("What can each coding do?", {"per_coding": True}, ["0", "2", "1", "3"]),
    ],
)
def test_fronts_are_ours(asked: str, title: str, ours: dict[str, Any], numbers: list[str]) -> None:
    assert by_python(title)["runs"]["tags.trial.number"].tolist() == numbers
    assert [str(number) for number in pareto(Store(), "digits-1", **ours)["trial"]] == numbers
    if title == "What can each coding do?":  # all that were judged, of which Python picks
        assert sorted(_tags(by_rest(title, asked), "trial.number")) == ["0", "1", "2", "3", "4", "5"]
    elif title in examples("sh"):
        assert _tags(by_rest(title, asked), "trial.number") == numbers


def test_searches_are_listed(asked: str) -> None:
    title = "Which searches are there?"
    assert by_python(title)["runs"]["tags.search"].tolist() == ["digits-1", "digits-0"]
    assert _tags(by_rest(title, asked), "search") == ["digits-1", "digits-0"]


def test_the_course_is_a_metric(asked: str) -> None:
    title = "How did the search get there?"
    told = [(point["step"], point["value"]) for point in by_rest(title, asked)["metrics"]]
    assert by_python(title)["course"] == told
    assert [step for step, _ in told] == [1, 2, 3, 4]  # trials 4 and 5 change nothing
    assert told[0][1] == pytest.approx(0.1 * 0.7)  # a tenth of the height; 1 nJ leaves 7 of the 10 decades from 1 pJ


def test_early_ends_have_their_reasons(asked: str) -> None:
    title = "Which trials ended early, and why?"
    assert by_python(title)["runs"]["tags.trial.reason"].tolist() == ["it broke"]
    assert _tags(by_rest(title, asked), "trial.reason") == ["it broke"]


def test_the_data_set_is_an_input(asked: str) -> None:
    data = by_python("Which data were these?")["data"]
    assert {name: json.loads(one.profile)["samples"] for name, one in data.items()} == SPLITS
    assert (data["training"].name, data["training"].digest) == ("digits", "t" * 16)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow", "ignore::UserWarning:mlflow")
def test_the_champion_is_the_version_registered_last_and_answers(asked: str, tmp_path: Path) -> None:
    title = "Which network is the champion?"
    registry = load_registry(third_parties=False)
    found = judge(
        {"task": "digits", "coding": "direct", "training.epochs": 1, "training.subset": 128}, registry=registry
    )
    data = registry.get("task", "digits")().search_data(None, 4)
    model = Model(
        describe(found.candidate, data, registry, metrics=found.metrics), found.network.state_dict(), registry
    )
    export_model(model, tmp_path / "net", "mlflow", registry=registry, data=data)
    run = find_run(Store(), "digits-1", 3)
    assert run is not None
    versions = [register_model(Store(), run, tmp_path / "net", "digits-net", "the best") for _ in range(2)]

    assert versions == ["1", "2"]
    champion = by_rest(title, asked)["model_version"]
    assert (champion["version"], champion["run_id"], champion["description"]) == ("2", run, "the best")
    images = data.validation.inputs[:20].numpy()
    assert by_python(title, images=images)["answers"].tolist() == model.predict(images).tolist()


def test_each_example_is_tested() -> None:
    source = Path(__file__).read_text()
    for title in examples("python").keys() | examples("sh").keys():
        assert f'"{title}"' in source
