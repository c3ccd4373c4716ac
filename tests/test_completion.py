"""What Tab offers: names of the package in Python; commands, flags, searches and trials in a shell."""

from __future__ import annotations

import csv
import os
import rlcompleter
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import spikefront
from spikefront.results.store import schema
from spikefront.runners.engine.settings import OPTIONS

STUB = Path(spikefront.__file__).with_suffix(".pyi")
"""Declares the names that the package offers."""


def offered_in_python(text: str) -> set[str]:
    completer = rlcompleter.Completer({"spikefront": spikefront})
    found: set[str] = set()
    while (match := completer.complete(text, len(found))) is not None and match not in found:
        found.add(match)
    return {match.rstrip("()").removeprefix("spikefront.") for match in found}


def offered_in_a_shell(words: str, folder: Path | None = None) -> list[str]:
    """Return what the program answers when bash asks it for completions in a folder, by Click's protocol."""
    asked = {"_SPIKEFRONT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    script = Path(sys.executable).with_name("spikefront")
    done = subprocess.run([script], cwd=folder, env=os.environ | asked, capture_output=True, text=True, timeout=60)
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


def mlflow_file(folder: Path, *runs: tuple[str, str, bool]) -> None:
    """Make the part of MLflow's tables that is read: runs of searches, numbers of trials, and who is on a front."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT, lifecycle_stage TEXT)")
        connection.execute("CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)")
        for number, (search, trial, member) in enumerate(runs):
            whole, _, cut = trial.partition("@")
            name = {schema.POINT_TRIAL: whole, schema.POINT_CUT: cut} if cut else {schema.NUMBER: whole}
            tags = {schema.SEARCH: search, schema.PARETO: str(member).lower(), **name}
            connection.execute("INSERT INTO runs VALUES (?, 'active')", [str(number)])
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(*tag, str(number)) for tag in tags.items()])
        connection.commit()


def test_a_shell_is_offered_searches_and_members_of_fronts(tmp_path: Path) -> None:
    mlflow_file(
        tmp_path,
        ("digits-1", "2", True),
        ("digits-1", "10", True),
        ("digits-1", "3", False),
        ("digits-1", "2@4", True),
        ("wine", "0", True),
    )
    (tmp_path / "searches/begun").mkdir(parents=True)

    assert offered_in_a_shell("spikefront pareto ", tmp_path) == ["digits-1", "wine", "begun"]
    assert offered_in_a_shell("spikefront run digits --resume be", tmp_path) == ["begun"]
    assert offered_in_a_shell("spikefront export d", tmp_path) == ["digits-1/2", "digits-1/2@4", "digits-1/10"]
    assert offered_in_a_shell("spikefront judge wine/", tmp_path) == ["wine/0"]


def test_a_shell_is_offered_no_names_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database")

    assert offered_in_a_shell("spikefront report ", tmp_path) == []
    assert offered_in_a_shell("spikefront picture ", tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_shell_is_offered_kinds_of_plugins(tmp_path: Path) -> None:
    assert offered_in_a_shell("spikefront new-plugin s") == ["sampler", "stopping", "surrogate"]
    assert offered_in_a_shell("spikefront plugins --kind cod") == ["coding"]


@pytest.mark.slow
def test_names_that_a_shell_is_offered_are_those_of_a_search(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("spikefront")
    narrow = ["--name", "first", "--trials", "2", "--epochs", "1", "--workers", "1", "--set", "backbone=mlp"]
    subprocess.run([script, "run", "--task", "digits", *narrow], cwd=tmp_path, check=True)
    done = subprocess.run([script, "pareto", "--format", "csv"], cwd=tmp_path, capture_output=True, text=True)

    members = [f"first/{row['trial']}" for row in csv.DictReader(done.stdout.splitlines())]
    assert len(members) > 0
    assert sorted(offered_in_a_shell("spikefront export ", tmp_path)) == sorted(members)
    assert offered_in_a_shell("spikefront report ", tmp_path) == ["first"]


def test_a_shell_is_offered_what_begins_alike() -> None:
    assert set(offered_in_a_shell("spikefront pareto --m")) == {"--min-quality", "--max-energy", "--max-latency"}
    assert {"pareto", "picture", "plugins", "probe"} == set(offered_in_a_shell("spikefront p"))
