"""``spikefront space --pictures``: a picture of each coding of the space, and a page of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Command = Callable[..., Any]

PLUGIN = '''
import warnings
import torch
from spikefront.plugins import Coding, Kind, Signal, hookimpl

class Flat(Coding):
    """Turns <maps> into rows."""
    name = "flat"
    def encode(self, x):
        return Signal(x.flatten(1).expand(self.steps, -1, -1), self.steps, Kind.ANALOG)

class Raises(Coding):
    """Raises."""
    name = "raises"
    def encode(self, x):
        raise RuntimeError("two\\nlines")

class Slashed(Coding):
    """Says <script> & warns."""
    name = "/<Odd>"
    def encode(self, x):
        warnings.warn("odd")
        return Signal((x > 0.5).float().expand(self.steps, *x.shape), self.steps, Kind.BINARY)

@hookimpl
def register_codings(register):
    for coding in (Flat, Raises, Slashed):
        register(coding)
'''


def test_each_coding_of_the_space_has_a_file_and_the_page_shows_them(command: Command) -> None:
    narrowed = ["--set", "coding=latency,css", "--set", "steps=4", "--set", "coding.latency.curve=log"]
    said = command("space", "--task", "digits", *narrowed, "--format", "json", "--pictures", "deep/out")

    assert said.code == 0
    assert json.loads(said.out) == json.loads(command("space", "--task", "digits", *narrowed, "--format", "json").out)
    files = ["deep/out/css.png", "deep/out/latency.png", "deep/out/index.html"]
    assert said.err.splitlines()[-3:] == files
    assert sorted(Path("deep/out").iterdir()) == sorted(map(Path, files))
    with Image.open("deep/out/latency.png") as image:
        assert image.format == "PNG"
        assert 600 < image.width < 1000
    page = Path("deep/out/index.html").read_text()
    assert re.findall(r'src="(.*?)" alt="(.*?[:;])', page) == [
        ("css.png", "css, T = 4:"),
        ("latency.png", "latency, T = 4:"),
    ]
    assert "curve log" in page
    assert "One spike per input, the earlier the stronger." in page
    assert "arXiv:2408.17245" in page  # the source of CSS
    assert not re.search(r"<script|https?:", page)


def test_a_coding_that_can_not_be_drawn_costs_one_warning(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "odd.py").write_text(PLUGIN)
    codings = "coding=flat,raises,/<Odd>"
    said = command("space", "--task", "digits", "--plugins-dir", "mine", "--set", codings, "--pictures", "out")

    assert said.code == 0
    warnings = [line for line in said.err.splitlines() if line.startswith("spikefront: warning: ")]
    told = [line.removeprefix("spikefront: warning: ") for line in warnings]
    assert told[0].endswith("odd")  # what the plugin warns of
    assert re.match(r"coding 'flat' has no picture: .*ContractError: .*shape", told[1])
    assert re.match(r"coding 'raises' has no picture: RuntimeError: two lines$", told[2])
    assert len(told) == 3
    assert "Traceback" not in said.err
    assert sorted(file.name for file in Path("out").iterdir()) == ["index.html", "odd.png"]
    page = Path("out/index.html").read_text()
    assert "/&lt;Odd&gt;</h2>" in page
    assert "Says &lt;script&gt; &amp; warns." in page


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_can_not_be_made_is_refused_before_anything_is_read(command: Command, folder: str) -> None:
    Path("file").write_text("")
    said = command("space", "--task", "digits", "--pictures", folder)

    assert re.match(r"--pictures .* is not a folder that can be written; choose another$", said.problem())
    assert Path("file").read_text() == ""
