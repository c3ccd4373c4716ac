"""Running the command line as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spikefront.search import main

CODING = """
from spikefront.plugins import Coding, hookimpl

class Picky(Coding):
    '''Takes only some.'''
    name = "picky"
    {attribute}

@hookimpl
def register_codings(register):
    register(Picky)
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def warnings(self) -> list[str]:
        """Lines of warnings; what is not installed is not one."""
        return [line for line in self.err.splitlines() if line.startswith("spikefront: warning: ")]

    def problem(self) -> str:
        """Return the text of the error, after checking that it is told as bad input should be."""
        lines = [line for line in self.err.splitlines() if not line.startswith("spikefront: warning: ")]
        assert self.code == 2
        assert self.out == ""
        assert len(lines) == 1, self.err
        assert lines[0].startswith("spikefront: ")
        return lines[0].removeprefix("spikefront: ")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, as if the user had set nothing up."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    yield
    for name in os.environ.keys() - before.keys():  # what commands set for MLflow
        del os.environ[name]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process, which spares the start."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["spikefront", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(ended.value.code if isinstance(ended.value.code, int) else 0, said.out, said.err)

    return run


@pytest.fixture
def in_new_process() -> Callable[..., Said]:
    """Run the command line in a process of its own."""

    def run(*arguments: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "spikefront", *arguments], capture_output=True, text=True, timeout=120
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def picky_coding() -> str:
    """Return the text of a plugin, with a place for a class attribute."""
    return CODING
