"""Tags, metric prefixes and artifact names stand in one file, and runs and trials convert both ways."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.results.store import schema
from spikefront.searchspace import ENERGY, LATENCY, Candidate, SearchInfo
from spikefront.searchspace.objectives import quality_objective

ROOT = Path(__file__).parents[3]
HOMES = {ROOT / "results/store/schema.py", ROOT / "searchspace/trial.py"}
SOURCES = sorted(
    {*ROOT.glob("results/**/*.py"), *ROOT.glob("commands/**/*.py"), *ROOT.glob("runners/**/*.py"), ROOT / "search.py"}
    - HOMES
)
NAMES = {name: value for name, value in vars(schema).items() if name.isupper() and isinstance(value, str)}
ANYWHERE = {value for value in NAMES.values() if "." in value.strip(".") or "_" in value} - {schema.WEIGHTS_SUFFIX}
"""Names that mean a tag or an artifact wherever they stand; others, such as ``task``, do so only as keys of tags."""
TAGS = set(NAMES.values())


def literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the text constants that are not docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def tag_keys(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the constants in ``tags[...]``, ``tags.get(...)``, ``... in tags`` and ``set_tag(run, ..., value)``."""
    for node in ast.walk(tree):
        keys: list[ast.expr] = []
        if isinstance(node, ast.Subscript) and _is_tags(node.value):
            keys = [node.slice]
        elif isinstance(node, ast.Compare) and _is_tags(node.comparators[0]):
            keys = [node.left]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            keys = node.args[:1] if node.func.attr == "get" and _is_tags(node.func.value) else []
            keys = node.args[1:2] if node.func.attr == "set_tag" else keys
        yield from (key for key in keys if isinstance(key, ast.Constant))


def _is_tags(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name == "tags"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_of_the_schema_is_written_elsewhere(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node.lineno for node in literals(tree) if any(name in str(node.value) for name in ANYWHERE)]
    found += [node.lineno for node in tag_keys(tree)]
    assert found == [], f"{path}: lines {found} have names that belong to results/store/schema.py"


def test_the_check_finds_what_it_should() -> None:
    assert {"trial.number", "mlflow.parentRunId", "front.json", "search.objectives", "front_size"} <= ANYWHERE
    assert {"search", "task", "pareto", "twin"} <= TAGS - ANYWHERE
    source = (
        'f"tags.`trial.number` = {x}"; run.data.tags["pareto"]; tags.get("task"); "search"; c.set_tag(r, "twin", "")'
    )
    tree = ast.parse(source)
    assert [node.value for node in literals(tree) if any(name in str(node.value) for name in ANYWHERE)] == [
        "tags.`trial.number` = "
    ]
    assert [node.value for node in tag_keys(tree)] == ["pareto", "task", "twin"]


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(max_size=9)))
def test_values_survive_being_text(value: int | float | bool | str) -> None:
    found = schema.value_of(str(value))
    assert str(found) == str(value)
    if not isinstance(value, str):
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize("text", ["1e3", "007", "+1", "1_000", "nan", "inf", "-", "", "true", "0x10", "1.50"])
def test_text_that_a_number_would_change_stays_text(text: str) -> None:
    assert schema.value_of(text) == text


def test_a_trial_is_read_from_what_was_written(
    search: Callable[..., SearchInfo], candidate: Callable[..., Candidate]
) -> None:
    info, flat = search(), candidate("sac", steps=3).flat()
    tags = schema.trial_tags(info, "parent", 7, flat, retry_of=2) | schema.end_tags("PRUNED", "behind", None)
    params = {name: str(value) for name, value in flat.items()}
    metrics = {"quality": 0.5, "test.quality": 0.4, "confirmed.quality": 0.4, "twin.ann.quality": 0.6}
    trial = schema.make_trial("run", 5_500, 1_000, tags, params, metrics)
    assert (trial.number, trial.state, trial.reason, trial.retry_of, trial.run_id) == (7, "PRUNED", "behind", 2, "run")
    assert trial.candidate == flat
    assert trial.metrics == {"quality": 0.5}
    assert trial.ended_s == 4.5
    assert trial.versions == {
        "task": "digits 0.1.0",
        "coding": "sac sha256:1",
        "energy": "loihi 2.0",
        "optimizer": "adam 0.1.0",
        "surrogate": "atan 0.2.0",
    }
    running = schema.make_trial("run", None, 0, {schema.NUMBER: "0"}, {}, {})
    assert math.isnan(running.ended_s)
    assert running.retry_of is None


def test_objectives_survive_their_tag(search: Callable[..., SearchInfo]) -> None:
    axes = (quality_objective(maximize=False, worst=2.0, best=0.0), ENERGY, LATENCY)
    assert schema.objectives_of(schema.search_tags(search(objectives=axes))) == axes


@pytest.mark.parametrize(("rank", "tags"), [(0, {"pareto": "true", "pareto.rank": "0"}), (None, {"pareto": "false"})])
def test_ranks_are_tags(rank: int | None, tags: dict[str, str]) -> None:
    assert schema.rank_tags(rank) == tags
