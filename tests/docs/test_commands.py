"""Each command that a page shows runs: with a short training, and with searches, members and files that exist."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image
from tests.docs.test_snippets import PAGES, ROOT, blocks, commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each search starts Ray

ELSEWHERE: Final = {
    "--address": "needs a cluster: tests/test_cluster_files.py has one",
    "http://mlflow.lab:5000": "names a server of somebody: tests/cli/test_doctor.py",
    "KIND": "stands for all kinds: tests/test_new_plugin_end_to_end.py",
    "SEARCH/TRIAL": "stands for what other pages show",
    "NAME": "stands for what other pages show",
    "A": "stands for what other pages show",
    "dN": "stands for five searches of a table",
    "first": "of the tutorial, whose commands run in their order: tests/docs/test_snippets.py",
    "coding=my-code": "begins with new-plugin: tests/test_new_plugin_end_to_end.py",
    "coding=mine": "shows a coding of the reader",
    "run --logger jsonl --logger tensorboard": "is a part of a command",
    "export digits-1/12@4": "is a part of a command",
    "space --pinned": "is a part of a command",
    "run --resume mine": "goes on with the search of the page's command before, on a cluster",
}
"""Words of commands that do not run here, or all of them, and why."""
STANDS_FOR: Final = {"folder": "FOLDER", "sac": "rate"}
"""What is here for what a page names."""
SEARCH: Final = "digits-1"
SHORT: Final = ("--set", "training.epochs=1", "--set", "training.subset=64")
VALUED: Final = ("--trials", "--time", "--epochs", "--seeds", "--workers")
"""Options of how much is done, which the tests choose."""
NO_DATA: Final = re.compile(r"--data-dir (DATA|FOLDER): no |give --data-dir ")
"""What a command says whose data are not here, after it has read all its options."""


def shown() -> dict[str, list[str]]:
    """Return what the commands of all pages that have arguments are shortened to, by how it reads."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        if page.name not in ("CHANGELOG.md", "tutorial.md"):
            every = (words for words in commands(page) if len(words) > 1)
            here = (words for words in every if not ELSEWHERE.keys() & {*words, " ".join(words)})
            found |= {" ".join(words): words for words in map(shortened, here)}
    return found


def without(words: list[str], *options: str) -> list[str]:
    """Return words without some options and the value behind each."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in options:
            next(rest)
        elif not word.startswith(tuple(f"{option}=" for option in options)):
            kept.append(word)
    return kept


def shortened(words: list[str]) -> list[str]:
    """Return a command that does less: a trial of an epoch on 64 samples, and two seeds."""
    command, *rest = without(words, *VALUED)
    chosen = ("training.epochs=", "training.subset=")
    fixed = {i for i, (_, value) in enumerate(pairwise(rest)) if value.startswith(chosen)}
    rest = [word for i, word in enumerate(rest) if i not in fixed and i - 1 not in fixed]
    if command == "run" and "--resume" in rest:
        return [command, *rest, "--trials", "7"]
    if command == "run":
        return [command, *rest, "--trials", "1", "--workers", "1", *SHORT]
    if command == "judge":
        return [command, *rest, *SHORT]
    if command == "probe":
        return [command, *rest, "--seeds", "2", "--epochs", "1"]
    return [command, *rest, *(("--seeds", "2") if command == "confirm" else ())]


class Folder:
    """The folder of a user who has done what the pages are about: a search with a front, files of data and plugins.

    Args:
        path: an empty folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        shutil.copytree(ROOT / "examples", path / "examples")
        self._write_files()
        named = [f"--set={setting}" for setting in ("backbone=mlp", "coding=rate", "neuron=lif", "steps=4..8")]
        begun = ["run", "--task", "digits", "--name", SEARCH, *["--trials", "6", "--epochs", "3", "--no-cuts"], *named]
        assert self.run(begun).returncode == 0
        assert self.run(["run", "--task", "digits", "--name", "OTHER", *named, "--trials", "2", *SHORT]).returncode == 0
        assert self.run(["results", "export", "OTHER", "--to", "OTHER.zip"]).returncode == 0
        rows = json.loads(self.run(["pareto", SEARCH, "--format", "json"]).stdout)
        self.member, self.run_id = str(rows[0]["trial"]), str(rows[0]["run_id"])

    def _write_files(self) -> None:
        random = np.random.default_rng(0)
        (self.path / "DATA").mkdir()
        for name, page in (("FOLDER", "docs/own-data.md"), ("my_plugins", "docs/libraries.md")):
            block = next(block for block in blocks(page, "python") if "@hookimpl" in block and '"mine"' in block)
            (self.path / name).mkdir()
            (self.path / name / "mine.py").write_text(block.replace("/data/", f"{self.path}/"))
        np.save(self.path / "x.npy", random.random((200, 12, 2), dtype=np.float32))
        np.save(self.path / "y.npy", np.arange(200) % 4)
        text = (self.path / "FOLDER" / "mine.py").read_text()
        (self.path / "FOLDER" / "mine.py").write_text(text.replace('y.npy"))', 'y.npy")), sequences=True'))
        with zipfile.ZipFile(self.path / "photos.zip", "w") as photos:
            for number in range(40):
                image, file = Image.fromarray(random.integers(0, 256, (50, 60, 3), dtype=np.uint8)), io.BytesIO()
                image.save(file, "png")
                photos.writestr(f"{('cats', 'dogs')[number % 2]}/{number}.png", file.getvalue())

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "spikefront", *words],
            cwd=self.path, env=self.environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def existing(self, words: list[str]) -> list[str]:
        """Return words with the search, members and runs that are here for those that a page names."""
        named = [re.sub(r"^digits-(1|20261130-081138)(?=$|/)", SEARCH, word) for word in words]
        named = [re.sub(rf"^{SEARCH}/\d+(?:@\d+)?$", f"{SEARCH}/{self.member}", word) for word in named]
        named = [re.sub(r"^[0-9a-f]{32}$", self.run_id, word) for word in named]
        asks = named[0] in ("pareto", "recommend", "confirm", "twin", "report") and "--search" not in named
        if asks and all(word.startswith("--") for word in named[1:2]):
            named.insert(1, SEARCH)  # or it would be the last one, of another test
        if named[:2] == ["results", "import"]:  # each into a store of its own
            named = ["results", "import", "OTHER.zip", "--tracking-uri", f"sqlite:///of-{named[2]}.db"]
        return [STANDS_FOR.get(word, word) for word in named]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Make the folder of a user."""
    return Folder(tmp_path_factory.mktemp("user"))


@pytest.mark.parametrize("line", shown(), ids=str)
def test_a_command_of_a_page_runs(line: str, folder: Folder) -> None:
    words = shown()[line]
    if "backbone=mine,convnet" in words:
        pytest.importorskip("snntorch")

    done = folder.run(folder.existing(words))

    if done.returncode and NO_DATA.search(done.stderr):
        pytest.skip(f"no data here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
