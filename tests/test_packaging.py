"""The package: links to the folders at the root, what is installed, and what names its version."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import spikefront

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/spikefront"
ROOMS = sorted(
    [file.parent.name for file in ROOT.glob("*/__init__.py") if file.parent.name != "tests"]
    + [file.name for file in ROOT.glob("*.py")]
)
"""What the root holds of the import package: folders that are packages, and modules."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_package_links_to_each_room_of_the_root_and_to_nothing_else() -> None:
    links = {entry.name: entry.resolve() for entry in PACKAGE.iterdir() if entry.is_symlink()}

    assert {"commands", "searchspace", "plugins", "runners", "results", "search.py"} <= set(ROOMS)
    assert links == {name: ROOT.resolve() / name for name in ROOMS}


@pytest.mark.parametrize("name", [room.removesuffix(".py") for room in ROOMS])
def test_installed_package_is_this_checkout(name: str) -> None:
    module = importlib.import_module(f"spikefront.{name}")

    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT.resolve())


def test_verbs_live_in_commands_alone() -> None:
    assert not (ROOT / "found.py").exists()
    assert importlib.util.find_spec("spikefront.found") is None


def test_every_dependency_is_pinned_in_the_constraints(project: dict[str, Any]) -> None:
    extras = [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    grouped = [name for group in project["dependency-groups"].values() for name in group]
    readers = ["norse", "sinabs", "pbr", "rockpool"]  # without their dependencies, as the Makefile says
    wanted = [*project["project"]["dependencies"], *extras, *grouped, *readers, "spikingjelly", "pip"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}

    names = {re.split(r"[>;\[]", requirement)[0].strip().lower() for requirement in wanted}

    assert names == pinned


def test_console_script_exists(project: dict[str, Any]) -> None:
    module, _, function = project["project"]["scripts"]["spikefront"].partition(":")

    assert callable(getattr(importlib.import_module(module), function))


def test_files_that_are_not_python_are_installed(project: dict[str, Any]) -> None:
    patterns: dict[str, list[str]] = project["tool"]["setuptools"]["package-data"]
    rooms = [ROOT / room for room in ROOMS if not room.endswith(".py")]
    files = [file for room in rooms for file in room.rglob("*") if file.is_file()]
    data = [file for file in files if file.suffix not in (".py", ".pyc")]

    left_out = [
        file
        for file in [*data, *PACKAGE.glob("*.pyi")]
        if not any(
            file.match(pattern)
            for pattern in patterns.get(_package_of(file), [])  # setuptools looks in that very folder
        )
    ]
    assert left_out == []


def _package_of(file: Path) -> str:
    folder = file.parent if file.parent != PACKAGE else ROOT
    return ".".join(["spikefront", *folder.relative_to(ROOT).parts])


def test_all_name_the_version_of_the_project(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    printed = subprocess.run(
        [sys.executable, "-m", "spikefront", "--version"], capture_output=True, text=True, check=True, timeout=60
    )

    assert spikefront.__version__ == version
    assert citation["version"] == version
    assert printed.stdout == f"spikefront {version}\n"


def test_citation_follows_the_format(project: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # required by CFF 1.2.0
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == project["project"]["name"]
    assert citation["license"] == project["project"]["license"]
    assert all({"name"} <= author.keys() for author in citation["authors"])  # entities


def test_a_release_is_refused_without_its_changelog(project: dict[str, Any]) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = project["project"]["version"]
    if re.search(rf"^## \[{re.escape(version)}\]", changelog, flags=re.MULTILINE):
        pytest.skip("this version has its section")

    done = subprocess.run([ROOT / ".ci/release-check"], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stderr.startswith(f"release-check: CHANGELOG.md has no section for {version}")
