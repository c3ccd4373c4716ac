"""What Tab offers: names of the package in Python, commands and flags in a shell."""

from __future__ import annotations

import os
import rlcompleter
import subprocess
import sys
from pathlib import Path

import pytest

import spikefront
from spikefront.runners.engine.settings import OPTIONS

STUB = Path(spikefront.__file__).with_suffix(".pyi")
"""Declares the names that the package offers."""


def offered_in_python(text: str) -> set[str]:
    completer = rlcompleter.Completer({"spikefront": spikefront})
    found: set[str] = set()
    while (match := completer.complete(text, len(found))) is not None and match not in found:
        found.add(match)
    return {match.rstrip("()").removeprefix("spikefront.") for match in found}


def offered_in_a_shell(words: str) -> list[str]:
    """Return what the program answers when bash asks it for completions, by Click's protocol."""
    asked = {"_SPIKEFRONT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    script = Path(sys.executable).with_name("spikefront")
    done = subprocess.run([script], env=os.environ | asked, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_python_offers_each_public_name() -> None:
    declared = {line.rpartition(" as ")[2] for line in STUB.read_text(encoding="utf-8").splitlines() if " as " in line}

    assert {"run", "load_search", "Search", "Store", "judge", "load", "pareto", "confirm", "twin", "export"} <= declared
    assert set(dir(spikefront)) == declared | {"__version__"}
    assert declared <= offered_in_python("spikefront.")
    assert offered_in_python("spikefront.par") == {"pareto"}


@pytest.mark.parametrize("name", dir(spikefront))
def test_each_name_that_is_offered_is_there(name: str) -> None:
    assert getattr(spikefront, name) is not None


def test_a_shell_is_offered_each_flag_of_a_search() -> None:
    offered = offered_in_a_shell("spikefront run --")

    flags = {declared.flag for declared in OPTIONS.values()}
    assert len(flags) > 30
    assert flags <= set(offered)
    negated = {flag.removeprefix("--no-") for flag in offered if flag.startswith("--no-")}
    assert {f"--{flag}" for flag in negated} <= flags


def test_a_shell_is_offered_what_begins_alike() -> None:
    assert set(offered_in_a_shell("spikefront pareto --m")) == {"--min-quality", "--max-energy", "--max-latency"}
    assert {"pareto", "picture", "plugins", "probe"} == set(offered_in_a_shell("spikefront p"))
