"""No command, and no process that it starts, imports what lies in the current folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "spikefront": [str(Path(sys.executable).with_name("spikefront"))],
    "python -m spikefront": [sys.executable, "-m", "spikefront"],
    "python -m spikefront.search": [sys.executable, "-m", "spikefront.search"],
    "python search.py": [sys.executable, str(ROOT / "search.py")],
}
SEARCH = "run --task digits --trials 2 --workers 1 --set coding=direct --set backbone=mlp --set training.epochs=1"


@pytest.mark.parametrize(
    "command",
    [pytest.param(command, marks=pytest.mark.slow if ".search" in name else ()) for name, command in COMMANDS.items()],
    ids=COMMANDS,
)
def test_a_command_imports_nothing_from_it(command: list[str], shadowed: Path) -> None:
    done = subprocess.run([*command, "plugins"], capture_output=True, text=True, env={"HOME": str(shadowed)})
    assert (done.returncode, "latency" in done.stdout) == (0, True), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spikefront", "python -m spikefront"])
def test_a_search_imports_nothing_from_it(name: str, shadowed: Path) -> None:
    done = subprocess.run([*COMMANDS[name], *SEARCH.split()], check=True, capture_output=True, text=True)
    assert "2 judged, 0 failed" in done.stdout
    assert "operations" not in done.stderr, "the counting process was lost"
