"""The documents say what the code does."""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.commands.app import load_commands
from spikefront.plugins import KINDS, hookspecs, load_registry
from spikefront.plugins.testing import LoggerContract
from spikefront.plugins.testing.loggers import ended_before, tell
from spikefront.runners.judging.judge import judge

ROOT = Path(__file__).parents[1]

HOOKS = [
    function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if name.startswith("register_") and function.__module__ == hookspecs.__name__
]


def python_blocks(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_each_hook_is_documented_with_its_exact_signature(hook: Callable[..., object]) -> None:
    signature = f"{hook.__name__}{inspect.signature(hook)}".replace("'", "")

    assert f"\n## `{signature}`\n" in (ROOT / "docs/plugins.md").read_text(encoding="utf-8")


def test_examples_of_the_hooks_make_a_network_together(tmp_path: Path) -> None:
    blocks = python_blocks(ROOT / "docs/plugins.md")
    for number, block in enumerate(blocks):
        (tmp_path / f"example_{number}.py").write_text(block, encoding="utf-8")

    registry = load_registry([tmp_path], third_parties=False)

    assert len(blocks) == len(HOOKS)
    assert registry.problems == {}
    names = {"task": "stripes", "coding": "one-bit", "neuron": "memoryless", "backbone": "one-layer"}
    found = judge({**names, "steps": 2, "training.epochs": 3}, registry=registry, energy_model="unit-cost")
    assert found.metrics["quality"] > 0.9  # chance is 0.5
    assert found.metrics["energy_nj"] == pytest.approx(found.metrics["sops"])  # binary edges only, and 1 nJ each


def test_table_of_kinds_says_how_a_search_asks_for_one() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \|.*\| `(.+?)` \|$", (ROOT / "docs/plugins.md").read_text(), re.MULTILINE
    )

    hooks_and_flags = {kind.name: (kind.hook, kind.asked("").strip()) for kind in KINDS.values()}
    assert {kind: (hook, flag) for kind, hook, flag in rows} == hooks_and_flags


def test_example_of_a_logger_writes_a_row_for_each_trial_and_meets_the_contract(tmp_path: Path) -> None:
    (block,) = (text for text in python_blocks(ROOT / "docs/plugins.md") if "register_loggers" in text)
    (tmp_path / "example.py").write_text(block, encoding="utf-8")
    plugin = load_registry([tmp_path], third_parties=False).get("logger", "csv")
    contract = LoggerContract()
    contract.test_it_is_documented(plugin)
    tell(plugin(), contract.search(tmp_path), contract.candidate(), end=False)
    resumed = contract.search(tmp_path, earlier=ended_before(contract.candidate()))
    tell(plugin(), resumed, contract.candidate(), first=5, retry_of=3)

    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["trial"]) for row in rows) == list(range(9))
    assert {row["trial"]: row["quality"] for row in rows}["4"] == "0.7"
    volumes = [float(row["hypervolume"]) for row in rows]
    assert volumes == sorted(volumes)
    assert len(inspect.cleandoc(block).splitlines()) <= 30


def test_contributing_shows_the_example_coding_word_for_word() -> None:
    example = (ROOT / "examples/plugins/step_forward.py").read_text(encoding="utf-8")

    assert example in python_blocks(ROOT / "CONTRIBUTING.md")


@pytest.mark.parametrize("document", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_gallery_of_codings_has_a_small_picture_in_each_section() -> None:
    sections = re.findall(
        r"^## (.+?)$(.+?)(?=^## |\Z)", (ROOT / "docs/codings.md").read_text(), re.MULTILINE | re.DOTALL
    )
    pictures = {name: re.findall(r"!\[.+?\]\((.+?)\)", text) for name, text in sections}

    registry = load_registry(third_parties=False)
    codings = {*registry.entries["coding"], *(name for kind, name in registry.missing if kind == "coding")}
    assert pictures.keys() <= codings
    assert pictures == {name: [f"codings/{name}.png"] for name in pictures}
    sizes = {path.stem: path.stat().st_size < 40_000 for path in ROOT.glob("docs/codings/*.png")}
    assert sizes == dict.fromkeys(pictures, True)


def test_table_of_plugins_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    load_commands()(["plugins", "--format", "markdown"], standalone_mode=False)
    printed = "".join(f"{line.rsplit('|', 2)[0]}|\n" for line in capsys.readouterr().out.splitlines())

    table = (ROOT / "docs/builtin.md").read_text(encoding="utf-8").partition("without the last column -->\n")[2]
    missing = {f"| {kind} | {name} |" for kind, name in load_registry(third_parties=False).missing}
    rows = table.partition("<!-- end of plugins -->")[0].splitlines(keepends=True)
    found = [row for row in rows if not row.startswith(tuple(missing) or "\n")]
    assert "".join(found) == printed
    assert len(rows) - len(found) == len(missing)


def test_readme_judges_a_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    block = next(block for block in python_blocks(ROOT / "README.md") if "spikefront.judge" in block)
    exec(block, {})

    first = capsys.readouterr().out.splitlines()[0].split()
    assert 0.1 < float(first[0]) <= 1
    assert float(first[1]) > 0
