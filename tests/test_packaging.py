"""The import package is made of links to the folders at the root."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["searchspace", "plugins", "runners", "results", "search.py"])
def test_link_leads_to_the_folder_at_the_root(name: str) -> None:
    link = ROOT / "src/spikefront" / name

    assert link.resolve() == ROOT.resolve() / name
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", ["searchspace", "plugins", "runners", "results", "search"])
def test_installed_package_is_this_checkout(name: str) -> None:
    module = importlib.import_module(f"spikefront.{name}")

    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT.resolve())


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    wanted = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"], "spikingjelly", "pip"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}

    names = {requirement.partition(">=")[0].partition("[")[0].lower() for requirement in wanted}

    assert names == pinned


def test_console_script_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["scripts"]["spikefront"].partition(":")

    assert callable(getattr(importlib.import_module(module), function))
