"""Command lines and study files drawn from a seed, over every option of every command: exit 0 or 2, or a verdict.

Of those with exit code 2 stderr has one line, and nothing was started or left. The verdict, with exit code 1, is of
``doctor``: not ready. A search that is not refused begins
where its Ray session would, and ends there.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.cli.hostile import EXAMPLES, ORDINARY, STORED, Generator

from spikefront.runners.engine.placing import session
from spikefront.runners.engine.settings import OPTIONS
from spikefront.search import main


class Began(BaseException):
    """A search was not refused."""


def begin(*_: object) -> None:
    raise Began


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a store and searches in it, and with what may be met in place of a file."""
    work, temporary = tmp_path / "work", tmp_path / "tmp"
    temporary.mkdir()
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(work)
    with ZipFile(STORED / "stored.zip") as archive:
        archive.extractall(work)
    with sqlite3.connect(work / "mlflow.db") as database:
        database.executescript(Path("mlflow.sql").read_text(encoding="utf-8").replace("/tmp/base/fix", str(work)))
    database.close()
    for name in ("folder", "data", "closed", "mine", "broken", "broken/d.py", "folder.html"):
        Path(name).mkdir()
    for name in ("pipe", "pipe.html", "pipe.svg", "broken/p.py"):
        os.mkfifo(name)
    for name, to in {"gone": "nowhere/x", "gone.zip": "nowhere/x", "loop": "loop", "broken/g.py": "nowhere"}.items():
        Path(name).symlink_to(to)
    with socket.socket(socket.AF_UNIX) as here:
        here.bind("socket")
    Path("notes").write_text("mine")
    Path("empty").touch()
    Path("bytes.yaml").write_bytes(bytes(range(256)) * 100)
    Path("bad.zip").write_bytes(b"PK\x03\x04" + b"x" * 500)
    Path("ok.yaml").write_text("task: digits\ntrials: 3\nspace: {coding: [latency, rate], steps: 2..8}\n")
    shutil.copy(EXAMPLES / "plugins" / "step_forward.py", "mine")
    with open("huge.yaml", "wb") as file:
        file.truncate(2**40)
    Path("closed").chmod(0)
    return tmp_path


def tree(top: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, size and time of whatever is in a folder, but for the locks of searches and the next study file."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            state = os.lstat(path)
            regular = stat.S_ISREG(state.st_mode)
            if not name.startswith("driver.lock") and name != "s.yaml":
                found[path] = (state.st_mode, state.st_size * regular, state.st_mtime_ns * regular)
    return found


def children_of_this_process() -> int:
    """Return how many processes were started here and have not ended."""
    return sum(len(file.read_text().split()) for file in Path("/proc/self/task").glob("*/children"))


def try_lines(
    generator: Generator,
    count: int,
    top: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Counter[object]:
    """Give command lines in this process, and return how often each exit code came; ``began`` stands for a search."""
    codes = Counter[object]()
    monkeypatch.setattr(session.RaySession, "__init__", begin)  # of the class: modules that import it now keep it
    before, threads, children = tree(top), threading.active_count(), children_of_this_process()
    for number in range(count):
        line = generator.line()
        Path("s.yaml").write_bytes(line.study)
        code: object
        with monkeypatch.context() as context:
            for name, value in line.variables.items():
                context.setenv(name, value)
            context.setattr(sys, "argv", ["spikefront", *line.arguments])
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = ended.code or 0
            except Began:
                code = "began"
        said, where = capsys.readouterr(), f"line {number}: {str(line)[:2000]}"
        codes[code] += 1
        assert code in (0, 2, "began") or _not_ready(line.arguments, code, said.out + said.err), f"{where}\n{said.err}"
        assert all(char.isprintable() or char == "\n" for char in said.err), f"{where}\n{said.err!r}"
        left = tree(top)
        if code == 2 and "Usage: " not in said.out:  # what a command without arguments prints
            lines = [each for each in said.err.splitlines() if not each.startswith("spikefront: warning: ")]
            assert (len(lines), said.out) == (1, ""), f"{where}\n{said.err}"
            assert lines[0].startswith("spikefront: "), f"{where}\n{said.err}"
        if code != 0:  # a report or an archive is written by what succeeds
            made = {path for path in before.keys() | left.keys() if before.get(path) != left.get(path)}
            made = {path for path in made if not path.endswith("other.db")} if code == "began" else made
            assert not made, f"{where}\n{made}"
        before = left
    assert threading.active_count() <= threads
    assert children_of_this_process() <= children
    return codes


def _not_ready(arguments: Sequence[str], code: object, said: str) -> bool:
    """Return whether ``doctor`` has found what keeps a search from running: its verdict, and no failure of its own."""
    return code == 1 and arguments[0] == "doctor" and any(line.startswith("not ready: ") for line in said.splitlines())


def test_every_option_of_a_search_has_an_ordinary_value() -> None:
    assert OPTIONS.keys() <= ORDINARY.keys()


def test_thirty_searches_are_refused_in_one_line_or_begin(
    places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = try_lines(Generator(7, frozenset({"run", "space"})), 30, places, capsys, monkeypatch)
    assert codes[2] > 8
    assert codes["began"] > 1


@pytest.mark.slow
def test_five_hundred_lines_are_refused_in_one_line_or_begin(
    places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = try_lines(Generator(0), 500, places, capsys, monkeypatch)
    assert codes[2] > 200
    assert codes["began"] > 30
    assert codes[0] > 30
