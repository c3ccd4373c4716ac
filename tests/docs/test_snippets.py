"""What the pages show is what happens: their commands exist with their flags, and their snippets run."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from spikefront.commands.app import load_commands

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of each command line that a page shows, in a block or in the text."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fences = re.findall(r"^```(?:console|sh)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    shown = [line for block in fences for line in block.splitlines()]
    shown += re.findall(r"`(spikefront [^`\n]+)`", text)
    lines = [re.search(r"(?:^|[ ;|&$(])spikefront ((?:[a-z][a-z-]*|--version).*)$", line) for line in shown]
    split = [shlex.split(line[1], comments=True) for line in lines if line]
    return [
        [*words[: next((i for i, word in enumerate(words) if word in ("||", "&&", ";", "|", "&")), None)]]
        for words in split
    ]


@pytest.fixture(scope="module")
def app() -> Any:
    return get_command(load_commands())


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_commands_that_a_page_shows_exist_with_their_flags(page: Path, app: Any) -> None:
    for words in commands(page):
        command, rest = app, words
        while rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.partition("=")[0] for word in rest if re.match(r"--[a-z]", word)}
        assert command is not app or not rest or rest[0].startswith("--") or rest[0] == "COMMAND", words
        assert used <= known | {"--help"}, words


def printed(block: str) -> tuple[list[str], list[str]]:
    """Run a snippet; return what it printed, and what the comments behind its prints say."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block, "snippet", "exec"), {})
    told = re.findall(r"^print\(.*\)  # (.+)$", block, flags=re.MULTILINE)
    return out.getvalue().splitlines(), told


@pytest.mark.parametrize("number", range(2))
def test_snippets_of_the_concepts_print_what_they_say(number: int) -> None:
    lines, told = printed(blocks("docs/concepts.md", "python")[number])

    assert told
    assert lines == told


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run the commands of the tutorial in their order, in an empty folder; return it, and what they printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    outputs, numbers = [], {"8": "8"}
    for block in blocks("docs/tutorial.md", "console"):
        line = block.strip().removeprefix("$ spikefront ")
        words = [re.sub(r"^first/8", f"first/{numbers['8']}", word) for word in shlex.split(line)]
        done = subprocess.run(
            [sys.executable, "-m", "spikefront", *words], cwd=folder, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, (line, done.stderr)
        outputs.append(done.stdout + done.stderr)
        if line.startswith("run "):  # which trial is good depends on the processor
            numbers["8"] = _member_with_two_steps(folder)
    return folder, outputs


def _member_with_two_steps(folder: Path) -> str:
    """Return the trial of a network that is on the front after two of its steps."""
    command = [sys.executable, "-m", "spikefront", "pareto", "first", "--per-coding", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    names = [str(row["trial"]) for row in json.loads(done.stdout)]
    return next(name.removesuffix("@2") for name in names if name.endswith("@2"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tutorial_ends_with_a_confirmed_and_exported_network(
    tutorial: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, outputs = tutorial
    monkeypatch.chdir(folder)

    assert (folder / "first.html").stat().st_size > 100_000
    assert any("best within 10.0 nJ" in output or "tied within 10.0 nJ" in output for output in outputs)
    assert any("on the front with probability" in output or "stay on the front" in output for output in outputs)
    assert "test split, mean of" in (folder / "net.pt.card.md").read_text(encoding="utf-8")
    lines, _ = printed(blocks("docs/tutorial.md", "python")[0])
    predicted, true = (json.loads(part + "]") for part in lines[0].split("]")[:2])
    assert sum(a == b for a, b in zip(predicted, true, strict=True)) >= 7  # of ten


@pytest.mark.slow
def test_snippet_of_the_page_about_running_searches_and_finds_its_search_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(blocks("docs/running.md", "python")[0], names)

    assert len(names["search"].trials) == 4
