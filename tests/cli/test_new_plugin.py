"""``spikefront new-plugin``: what it writes works, for each kind, and what it can't write is refused in one line."""

from __future__ import annotations

import doctest
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spikefront.plugins import KINDS, load_registry, testing
from spikefront.plugins.loose import load_file
from spikefront.plugins.scaffold import TEMPLATES, Package
from spikefront.runners.judging.judge import judge

Command = Callable[..., Any]

SHADOWING = ("torch", "coding", "none", "int", "steps", "my-coding")
"""Names of plugins that are those of what a plugin file uses, or of Python's."""


def write(package: Package, folder: Path) -> None:
    for name, content in package.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def test_there_is_a_template_for_each_kind() -> None:
    assert {file.stem for file in TEMPLATES.glob("[!_]*.py")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_tests_inherit_the_contract_of_the_kind(kind: str) -> None:
    contracts = [name for name in testing.__all__ if getattr(getattr(testing, name), "kind", "") == kind]
    tests = Package(KINDS[kind], "mine").files["tests/test_mine.py"]

    assert [f"class TestMine({contract}):" in tests for contract in contracts] == [True]


def test_each_kind_is_registered_as_it_is_written_and_passes_ruff(tmp_path: Path) -> None:
    for kind in KINDS.values():
        write(Package(kind, f"new-{kind.name}"), tmp_path)

    registry = load_registry([tmp_path], third_parties=False)
    lint = [
        subprocess.run([sys.executable, "-m", "ruff", *words, tmp_path]) for words in (["check"], ["format", "--check"])
    ]

    assert registry.problems == {}
    assert registry.left_out == []
    assert [name for kind in KINDS for name in registry.entries[kind] if name == f"new-{kind}"] == [
        f"new-{kind}" for kind in KINDS
    ]
    assert [done.returncode for done in lint] == [0, 0]


def test_a_coding_is_written_encodes_as_its_example_says_and_is_trained(command: Command, tmp_path: Path) -> None:
    said = command("new-plugin", "coding", "even-spikes", "--to", "mine")

    assert (said.code, said.err) == (0, "")
    files = sorted(str(file.relative_to("mine")) for file in Path("mine").rglob("*") if file.is_file())
    assert said.out.splitlines()[:-1] == ["mine", *(f"  {file}" for file in files)]
    module = load_file(Path("mine/spikefront_even_spikes.py"))
    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=1)
    spikes = module.even_spikes(torch.tensor([0.0, 0.25, 0.5, 1.0]), steps=4)
    assert spikes.sum(0).tolist() == [0, 1, 2, 4]
    registry = load_registry([Path("mine")], third_parties=False)
    names = {"task": "digits", "coding": "even-spikes", "backbone": "mlp"}
    found = judge({**names, "steps": 2, "training.epochs": 2}, registry=registry)
    assert found.metrics["quality"] > 0.4  # chance is 0.1


def test_an_entry_point_names_the_module(tmp_path: Path) -> None:
    files = Package(KINDS["neuron"], "two-words").files
    project = tomllib.loads(files["pyproject.toml"])

    assert project["project"]["entry-points"]["spikefront"] == {"two-words": "spikefront_two_words"}
    assert project["tool"]["setuptools"]["py-modules"] == ["spikefront_two_words"]
    assert "spikefront_two_words.py" in files
    assert "LICENSE" not in files


@pytest.mark.parametrize("name", SHADOWING)
def test_names_in_the_code_hide_nothing_that_it_uses(name: str, tmp_path: Path) -> None:
    write(Package(KINDS["coding"], name), tmp_path)

    registry = load_registry([tmp_path], third_parties=False)

    assert registry.problems == {}
    code = registry.entries["coding"][name].plugin(steps=4).encode(torch.tensor([[1.0, 0.0]]))
    assert code.values.sum(0).tolist() == [[4, 0]]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("codng", "mine"), "unknown kind 'codng'. Did you mean 'coding'?"),
        (("coding", "MyCode"), "NAME MyCode must be words of small letters and digits, joined by -, that begin with a"),
        (("coding", "MyCode"), "such as my-code"),
        (("coding", "../mine"), "such as mine"),
        (("coding", "x" * 41), "is longer than 40 characters"),
        (("coding", "latency"), "NAME latency is a coding of spikefront.plugins.codings.latency; choose another"),
        (("objective", "quality"), "NAME quality: objective 'quality' is the task's own; choose another name"),
        (
            ("neuron", "snntorch-leaky"),
            "NAME snntorch-leaky",
        ),
        (("coding", "mine", "--to", "here"), "--to here exists already"),
        (("coding", "mine", "--to", "file/there"), "--to file/there can't be written: Not a directory"),
        (("coding",), "missing argument"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    command: Command, arguments: tuple[str, ...], problem: str
) -> None:
    Path("here").mkdir()
    Path("file").touch()

    said = command("new-plugin", *arguments)

    assert problem in said.problem()
    assert sorted(path.name for path in Path().iterdir()) == ["file", "here"]
    assert list(Path("here").iterdir()) == []


def test_a_name_of_a_plugin_file_of_mine_is_taken(command: Command, picky_coding: str) -> None:
    Path("mine").mkdir()
    Path("mine/picky.py").write_text(picky_coding.format(attribute=""))

    said = command("new-plugin", "coding", "picky", "--plugins-dir", "mine")

    assert "NAME picky is a coding of mine/picky.py; choose another" in said.problem()


def test_the_readme_searches_as_the_kind_is_asked_for() -> None:
    asked = {kind: Package(KINDS[kind], "mine").files["README.md"].count(KINDS[kind].asked("mine")) for kind in KINDS}

    assert asked == dict.fromkeys(KINDS, 2)  # installed, and from the folder
