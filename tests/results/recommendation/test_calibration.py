"""Answers on simulated codings with known means are as often true as they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "recommend.py"
RUNS = 300
ERROR = 0.02
"""Of a share of 0.9 in that many runs."""


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recommend_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["2 equal codings", "2 equal codings, spreads of 0.2 and 1", "6 codings that differ as seeds do"]
)
def test_statements_of_ninety_percent_are_true_in_about_as_many_runs(benchmark: ModuleType, name: str) -> None:
    scenario = next(one for one in benchmark.SCENARIOS if one.name == name)
    found = benchmark.rates(scenario, RUNS, batch=2, seed=7)
    assert found["true"] > 0.9 - 2 * ERROR  # one among equals is called the best in 10 % of runs at most
    assert 0.85 - ERROR < found["leads"] < 0.97 + ERROR
    if name.startswith("6"):
        assert found["names right"] > 0.93
        assert found["named"] > 0.15
        assert found["trainings"] < scenario.trainings * 6  # some ended early
