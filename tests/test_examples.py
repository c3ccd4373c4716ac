"""What lies in examples/ runs, and means what it says."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from typer.testing import CliRunner

from spikefront.plugins import Coding, Kind, Registry, Task, load_registry
from spikefront.plugins.testing import CodingContract, TaskContract
from spikefront.runners.judging.judge import judge
from spikefront.search import app
from spikefront.searchspace import Space, build, parse_mapping, read_study_file

EXAMPLES = Path(__file__).parents[1] / "examples"
STUDY = EXAMPLES / "study.yaml"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry([EXAMPLES / "plugins"], third_parties=False)


def test_example_plugins_load_beside_the_built_in_ones(registry: Registry) -> None:
    assert registry.problems == {}
    assert registry.entries["coding"]["step-forward"].origin.endswith("step_forward.py")
    assert "step-forward" not in load_registry(third_parties=False).entries["coding"]


class TestStepForward(CodingContract):
    @pytest.fixture
    def plugin(self, registry: Registry) -> type[Coding]:
        return registry.get("coding", "step-forward")


def test_docstring_of_step_forward_shows_its_real_output(registry: Registry) -> None:
    module = sys.modules[registry.get("coding", "step-forward").__module__]

    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=1)


def test_step_forward_climbs_down_to_an_input_below_its_start(registry: Registry) -> None:
    coding = registry.get("coding", "step-forward")
    config = build(coding.Config, {"threshold": 0.2, "start": 0.5}, "step-forward")

    signal = coding(config, steps=3).encode(torch.tensor([[0.0, 0.25, 0.5, 1.0]]))

    assert signal.kind is Kind.TERNARY
    # distances from 0.5 are -0.5, -0.25, 0, 0.5; a step is taken while more than 0.2, 0.4, 0.6 remain
    expected = torch.tensor([[-1.0, -1.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(signal.values, expected.unsqueeze(1), rtol=0, atol=0)


def test_step_forward_brings_the_baseline_within_one_step_of_the_input(registry: Registry) -> None:
    coding = registry.get("coding", "step-forward")
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    config = build(coding.Config, {"threshold": 0.1, "start": 0.3}, "step-forward")

    spikes = coding(config, steps=10).encode(x).values  # 10 steps of 0.1 reach every input

    baseline = 0.3 + 0.1 * spikes.sum(0)
    assert (baseline - x).abs().max() <= 0.1 + 1e-6


class TestWine(TaskContract):
    @pytest.fixture
    def plugin(self, registry: Registry) -> type[Task]:
        return registry.get("task", "wine")


def test_wine_is_split_by_grower_and_learnt(registry: Registry) -> None:
    wine = registry.get("task", "wine")()
    data, test = wine.search_data(None, 4), wine.test_data(None, 4)
    shares = [np.bincount(part.targets) for part in (data.train, data.validation, test)]
    names = {"task": "wine", "coding": "direct", "backbone": "mlp", "steps": 4}

    found = judge({**names, "training.epochs": 10, "training.batch": 16}, registry=registry)

    assert np.array_equal(sum(shares), np.bincount(load_wine().target))
    assert found.metrics["quality"] > 0.8  # the largest class is 0.4


@pytest.mark.slow
def test_workers_learn_the_arrays_of_a_plugin_file(tmp_path: Path) -> None:
    def spikefront(*arguments: str) -> str:
        command = [sys.executable, "-m", "spikefront.search", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=True).stdout

    few = ("--trials", "2", "--workers", "2", "--set", "coding=direct", "--set", "training.epochs=10")
    spikefront("run", "--plugins-dir", str(EXAMPLES / "plugins"), "--task", "wine", *few)
    front = json.loads(spikefront("pareto", "--format", "json"))

    assert front
    assert all(member["backbone"] == "mlp" for member in front)


def test_study_file_narrows_the_space_as_its_comments_say(registry: Registry) -> None:
    study = read_study_file(STUDY)
    space = study["space"]
    assert isinstance(space, dict)

    rows = {(row.name, row.active): row for row in _space(registry, study).rows()}

    assert rows["coding", "always"].domain == "direct, latency, sac"
    assert rows["neuron", "always"].domain == "lif"
    assert rows["neuron.lif.threshold", "neuron=lif"].domain == "0.5..1"
    assert rows["training.batch", "always"].domain == "32, 64"
    assert not rows["coding.latency.curve", "coding=latency"].searched
    assert rows["steps", "coding=latency"].domain.startswith("3..8")  # latency coding itself begins at 3


def _space(registry: Registry, study: dict[str, object]) -> Space:
    space, task, seed = study["space"], study["task"], study["seed"]
    assert isinstance(space, dict)
    assert isinstance(task, str)
    assert isinstance(seed, int)
    return Space(registry, task, parse_mapping(space, str(STUDY)), seed)


def test_command_line_knows_each_key_of_the_study_file() -> None:
    result = CliRunner().invoke(app, ["space", "--task", "digits", "--config", str(STUDY), "--format", "csv"])

    assert result.exception is None
    assert "neuron.lif.threshold,0.5..1," in result.stdout


def test_each_key_of_the_study_file_has_a_comment() -> None:
    lines = STUDY.read_text(encoding="utf-8").splitlines()
    keys = {number: line for number, line in enumerate(lines) if re.match(r" *[a-z]", line)}

    bare = [line for number, line in keys.items() if "#" not in line and not lines[number - 1].startswith("#")]

    assert bare == []
