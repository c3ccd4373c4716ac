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

from spikefront.commands.app import load_commands
from spikefront.plugins import (
    Coding,
    Kind,
    Objective,
    Registry,
    Sampler,
    StoppingRule,
    Surrogate,
    Task,
    Trial,
    Value,
    load_registry,
)
from spikefront.plugins.testing import (
    CodingContract,
    ObjectiveContract,
    SamplerContract,
    StoppingRuleContract,
    SurrogateContract,
    TaskContract,
)
from spikefront.runners.engine.study_file import read_settings
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import Space, build

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


class TestPlateau(StoppingRuleContract):
    @pytest.fixture
    def plugin(self, registry: Registry) -> type[StoppingRule]:
        return registry.get("stopping", "plateau")


def plateau(registry: Registry, patience: int, chance: float = 0.1, best: float = 1.0) -> StoppingRule:
    plugin = registry.get("stopping", "plateau")
    rule: StoppingRule = plugin(build(plugin.Config, {"patience": patience}, "plateau"))
    rule.begin((), chance=chance, best=best)
    return rule


def stops(rule: StoppingRule, number: int, qualities: dict[int, float]) -> list[int]:
    """Return the epochs at which a rule would stop a trial."""
    candidate: dict[str, Value] = {"coding": "rate", "training.epochs": 20}
    trials = [Trial(number, "RUNNING", candidate, {"quality": q}, epoch=epoch) for epoch, q in qualities.items()]
    return [trial.epoch for trial in trials if rule.decide(trial, {trial.epoch: trial.metrics}) is not None]


def test_plateau_stops_what_has_not_improved_for_its_patience(registry: Registry) -> None:
    qualities = {1: 0.3, 2: 0.5, 3: 0.5, 4: 0.4, 5: 0.6, 6: 0.6, 7: 0.6, 8: 0.6}
    assert stops(plateau(registry, patience=3), 0, qualities) == [8]
    assert stops(plateau(registry, patience=2), 0, qualities) == [4, 7, 8]
    errors = {epoch: 1 - quality for epoch, quality in qualities.items()}
    assert stops(plateau(registry, 3, chance=1.0, best=0.0), 0, errors) == [8]


def test_plateau_counts_on_after_a_resume_without_the_history(registry: Registry) -> None:
    before, after = plateau(registry, patience=3), plateau(registry, patience=3)
    assert stops(before, 4, {1: 0.3, 2: 0.5, 3: 0.5}) == []
    after.restore(9, json.loads(json.dumps(before.state(4))))
    assert stops(after, 9, {4: 0.4, 5: 0.5}) == [5]


class TestQMC(SamplerContract):
    @pytest.fixture
    def plugin(self, registry: Registry) -> type[Sampler]:
        return registry.get("sampler", "qmc")


class TestDspike(SurrogateContract):
    @pytest.fixture
    def plugin(self, registry: Registry) -> type[Surrogate]:
        return registry.get("surrogate", "dspike")


@pytest.mark.parametrize("b", [0.5, 3.0, 10.0])
def test_dspike_is_the_slope_of_a_function_from_0_to_1(registry: Registry, b: float) -> None:
    surrogate = registry.get("surrogate", "dspike")(b)
    x = torch.linspace(-0.499, 0.499, 501, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad((torch.tanh(b * x) / (2 * np.tanh(b / 2)) + 0.5).sum(), x)
    torch.testing.assert_close(surrogate(x.detach()), slope)
    wide = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    assert torch.trapezoid(surrogate(wide), wide).item() == pytest.approx(1, abs=1e-3)


class TestEnergyDelay(ObjectiveContract):
    @pytest.fixture
    def objective(self, registry: Registry) -> Objective:
        return registry.objectives["energy-delay"]


def test_energy_delay_is_the_product_of_energy_and_latency(registry: Registry) -> None:
    objective = registry.objectives["energy-delay"]
    assert objective.measure is not None
    assert objective.measure({"energy_nj": 250.0, "latency_steps": 6.0}) == 1500
    assert objective.format(1500.0) == "1500 nJ steps"


@pytest.mark.slow
def test_workers_learn_the_arrays_of_a_plugin_file(tmp_path: Path) -> None:
    def spikefront(*arguments: str) -> str:
        command = [sys.executable, "-m", "spikefront", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=True).stdout

    few = ("--trials", "2", "--workers", "2", "--no-early-stopping", "--set", "coding=direct", "--epochs", "10")
    spikefront("run", "--plugins-dir", str(EXAMPLES / "plugins"), "--task", "wine", *few)
    front = json.loads(spikefront("pareto", "--format", "json"))

    assert front
    assert all(member["backbone"] == "mlp" for member in front)


def test_study_file_narrows_the_space_as_its_comments_say(registry: Registry) -> None:
    settings = read_settings({"config": STUDY})
    assert settings.task is not None
    space = Space(registry, settings.task, settings.narrowings, settings.seed)

    rows = {(row.name, row.active): row for row in space.rows()}

    assert rows["coding", "always"].domain == "direct, latency, sac"
    assert rows["neuron", "always"].domain == "lif"
    assert rows["neuron.lif.threshold", "neuron=lif"].domain == "0.5..1"
    assert rows["training.batch", "always"].domain == "32, 64"
    assert not rows["coding.latency.curve", "coding=latency"].searched
    assert rows["steps", "coding=latency"].domain.startswith("3..8")  # latency coding itself begins at 3


def test_command_line_knows_each_key_of_the_study_file() -> None:
    arguments = ["space", "--task", "digits", "--config", str(STUDY), "--format", "csv"]

    result = CliRunner().invoke(load_commands(), arguments)

    assert result.exception is None
    assert "neuron.lif.threshold,0.5..1," in result.stdout


def test_each_key_of_the_study_file_has_a_comment() -> None:
    lines = STUDY.read_text(encoding="utf-8").splitlines()
    keys = {number: line for number, line in enumerate(lines) if re.match(r" *[a-z]", line)}

    bare = [line for number, line in keys.items() if "#" not in line and not lines[number - 1].startswith("#")]

    assert bare == []
