"""The example of a command in one file, on a search that an earlier version stored."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).parents[2] / "examples/plugins"


def spikefront(*arguments: str, **variables: str) -> str:
    command = [sys.executable, "-m", "spikefront", *arguments]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    return {"SPIKEFRONT_PLUGINS_DIR": str(PLUGINS)}


@pytest.mark.slow
def test_the_command_is_listed_and_described(variables: dict[str, str]) -> None:
    listed = spikefront("--help", **variables)
    assert re.search(r"^  codings +Print what each coding has reached in a search\.$", listed, re.MULTILINE)
    page = spikefront("codings", "--help", **variables)
    assert "--tracking-uri" in page
    assert "Name of the search" in page
    assert "codings" not in spikefront("--help", SPIKEFRONT_PLUGINS_DIR="").partition("Commands:")[2].split()


def test_the_command_summarises_a_stored_search(stored: Any, variables: dict[str, str]) -> None:
    printed = spikefront("codings", "before", "--tracking-uri", stored.uri, "--format", "json", **variables)

    front = json.loads((stored.folder / "before.json").read_text(encoding="utf-8"))  # one member of each coding
    assert json.loads(printed) == [
        {
            "coding": row["coding"],
            "trials": 1,
            "on the front": 1,
            "quality": row["quality"],
            "energy_nj": row["energy_nj"],
        }
        for row in sorted(front, key=lambda row: str(row["coding"]))
    ]
