"""mypy reads the package as its users do: it takes a typed script, and refuses one with mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TAKEN = """
from pathlib import Path

import pandas as pd

import spikefront

search: spikefront.Search = spikefront.run("digits", trials=3, space={"steps": (2, 4)}, max_energy="2uJ", time=600)
front: pd.DataFrame = search.front(min_quality=0.9)
trial: spikefront.Trial = search.trials[0]
coding: object = trial.candidate["coding"]
share: float = search.hypervolume
again: spikefront.Search = spikefront.load_search("digits-1", tracking_uri="sqlite:///mlflow.db")
cheap: pd.DataFrame = spikefront.pareto(max_energy="2uJ", where=["parameters<=20000"])
cheaper = spikefront.pareto("digits-1", max_energy=100.0)
page: Path = search.report("digits.html")
search.export(19, "net.pt", format="onnx").predict
version: str = spikefront.__version__
"""
REFUSED = """
import spikefront

spikefront.run("digits", trials="x")
spikefront.run("digits", nonsense=1)
spikefront.run(3)
spikefront.pareto(min_quality="good")
spikefront.load_search("a").trials["0"]
spikefront.nothing
"""


def mypy(file: Path) -> tuple[int, list[str]]:
    """Check a file with the project's configuration, and return the exit code and the lines about it."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=silent"]
    done = subprocess.run([*command, str(file)], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    return done.returncode, [line for line in done.stdout.splitlines() if file.name in line]


@pytest.mark.slow
def test_a_typed_script_is_taken(tmp_path: Path) -> None:
    script = tmp_path / "taken.py"
    script.write_text(TAKEN, encoding="utf-8")

    assert mypy(script) == (0, [])


@pytest.mark.slow
def test_mistakes_are_refused_where_they_are(tmp_path: Path) -> None:
    script = tmp_path / "refused.py"
    script.write_text(REFUSED, encoding="utf-8")

    code, lines = mypy(script)

    assert code == 1
    wrong = {number for number, line in enumerate(REFUSED.splitlines(), 1) if line.startswith("spikefront.")}
    found = {int(match[1]) for line in lines if (match := re.search(r"refused\.py:(\d+): error", line))}
    assert found == wrong
