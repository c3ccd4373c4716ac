"""The lists that the command line prints are complete."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import KINDS, load_registry

ROOT = Path(__file__).parents[2]

Command = Callable[..., Any]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_plugins_lists_each_registered_plugin(command: Command, form: str) -> None:
    said = command("plugins", "--format", form)

    if form == "json":
        listed = [(row["kind"], row["name"]) for row in json.loads(said.out)]
    elif form == "csv":
        listed = [(row["kind"], row["name"]) for row in csv.DictReader(io.StringIO(said.out))]
    else:
        words = [re.split(r"  +", line.strip()) for line in said.out.splitlines()]
        listed = [(line[0], line[1]) for line in words if line[0] in KINDS]  # not what a long text wraps to
    registered = [(kind, name) for kind, entries in load_registry().entries.items() for name in sorted(entries)]
    assert said.code == 0
    assert listed == registered
    assert {("coding", "latency"), ("neuron", "lif"), ("task", "digits"), ("energy", "horowitz-45nm")} <= {*listed}


def test_plugins_of_one_kind_lists_no_other(command: Command) -> None:
    said = command("plugins", "--kind", "neuron", "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert {row["kind"] for row in rows} == {"neuron"}
    assert {row["name"] for row in rows} >= {"if", "lif", "plif"}


def test_plugins_shows_the_traceback_of_one_that_fails_when_asked(command: Command, picky_coding: str) -> None:
    Path("mine").mkdir()
    Path("mine/picky.py").write_text(picky_coding.format(attribute="step_range = 1 / 0"))

    short, long = (
        command("plugins", "--kind", "coding", "--plugins-dir", "mine", *more) for more in ((), ("--verbose",))
    )

    assert short.out == long.out
    assert len(short.warnings) == 1
    assert "Traceback" not in short.err
    assert "mine/picky.py was not loaded: ZeroDivisionError" in short.err
    assert long.err.endswith(short.err)
    assert "Traceback (most recent call last):" in long.err
    assert "step_range = 1 / 0" in long.err


def test_space_prints_ranges_and_counts_what_is_searched(command: Command) -> None:
    arguments = ["space", "--task", "digits", "--set", "coding=latency", "--set", "steps=4"]

    table = command(*arguments)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(command(*arguments, "--format", "csv").out))}
    pinned = {
        row["name"]: row for row in csv.DictReader(io.StringIO(command(*arguments, "--pinned", "--format", "csv").out))
    }

    assert table.code == 0
    assert re.search(r"coding\.latency\.threshold +0\.\.0\.2 ", table.out)
    first, *others = table.err.splitlines()
    assert first == f"{len(rows)} hyperparameters searched on task digits"
    assert [line.partition(" holds out ")[0] for line in others] == ["validation"]
    assert rows["coding.latency.curve"]["range"] == "linear, log"
    assert {"coding", "steps"}.isdisjoint(rows)  # one value is left of each
    assert (pinned["coding"]["range"], pinned["steps"]["range"]) == ("latency", "4")
    assert not any(name.startswith("coding.sac") for name in pinned)


def test_space_takes_the_example_study(command: Command) -> None:
    said = command("space", "--task", "digits", "--config", str(ROOT / "examples" / "study.yaml"), "--format", "json")

    rows = {row["name"]: row for row in json.loads(said.out)}
    assert said.code == 0
    assert rows["coding"]["range"] == "direct, latency, sac"
    assert said.err.splitlines()[0].endswith(" hyperparameters searched on task digits")


def test_space_reads_a_study_as_run_does(command: Command, tmp_path: Path, picky_coding: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "picky.py").write_text(picky_coding.format(attribute=""))
    Path("s.yaml").write_text("task: digits\nepochs: 15\nplugins_dir: mine\nspace: {coding: [direct, picky]}\n")
    arguments = ["space", "--config", "s.yaml", "--pinned", "--format", "csv"]

    def ranges(*more: str) -> dict[str, str]:
        rows = csv.DictReader(io.StringIO(command(*arguments, *more).out))
        return {row["name"]: row["range"] for row in rows}

    assert ranges()["coding"] == "direct, picky"
    assert ranges()["training.epochs"] == "15"
    assert ranges("--set", "training.epochs=2")["training.epochs"] == "2"  # a flag wins
    assert ranges("--set", "coding=rate")["coding"] == "rate"


def test_help_says_of_each_command_what_it_does_to_the_end(command: Command) -> None:
    said = " ".join(command("--help").out.split())
    assert "Print what a search would search: each hyperparameter, its range and when it exists." in said
    assert "spiking-network" in said
    assert re.findall(r"\w+\.\.\.", said) == []


def test_space_says_what_priors_are_and_where_they_come_from(command: Command) -> None:
    arguments = ("space", "--task", "cifar10", "--set", "coding=gac,direct", "--format", "csv")
    source = "(Qiu et al., AAAI 2024; code bollossom/GAC at ed8130a)"
    whole = [line for line in command(*arguments).err.splitlines() if "--priors" in line]
    assert whole == [
        f"--priors takes published settings of gac {source}",
        f"--priors takes a starting point of gac {source}",
    ]
    short = [line for line in command(*arguments, "--set", "training.epochs=2").err.splitlines() if "--priors" in line]
    assert short == [whole[1], "--priors leaves out published settings of gac (training.epochs=250)"]
