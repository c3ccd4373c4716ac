"""``spikefront exits``: a stored member, an exported file, and the file that its answer exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.cli.stored import QUICK, keep_search

import spikefront
from spikefront.runners.judging.judge import Judgement

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def judged() -> Judgement:
    """Really train trial 2 of the stored search."""
    return spikefront.judge({"task": "digits", "backbone": "mlp", "coding": "latency", "steps": 4, **QUICK})


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, judged: Judgement) -> str:
    folder = tmp_path_factory.mktemp("exits")
    with chdir(folder):
        keep_search(folder / "one", judged)
    return f"sqlite:///{folder}/mlflow.db"


def test_exits_of_a_member_stand_beside_its_fixed_steps(command: Command, uri: str, judged: Judgement) -> None:
    said = command("exits", "one/2", "--tracking-uri", uri, "--format", "json", "--to", "exits.svg")
    assert (said.code, said.err) == (0, "")
    rows = json.loads(said.out)
    fixed = [row for row in rows if row["curve"] == "fixed steps"]
    assert [row["steps"] for row in fixed] == [1, 2, 3, 4]
    assert [row["quality"] for row in fixed] == pytest.approx(
        [*(point["quality"] for point in judged.points.values()), judged.metrics["quality"]], abs=0.01
    )
    assert {row["curve"] for row in rows} == {"fixed steps", "max", "entropy", "gap"}
    assert sum(row["chosen"] for row in rows) == 2
    assert "stopping early: trial 2 of one, latency" in Path("exits.svg").read_text()


def test_what_judge_returned_and_an_exported_file_give_the_same_answer(command: Command, judged: Judgement) -> None:
    found = spikefront.exits(judged, tolerance=1.0)
    chosen = found.frame[found.frame["chosen"]].iloc[-1]
    exit = f"{chosen['curve']}:{chosen['threshold']}"
    model = spikefront.export(judged, "net.pt", exit=exit)
    loaded = spikefront.load("net.pt")
    assert str(loaded.exit) == str(model.exit) == exit
    said = command("exits", "net.pt", "--tolerance", "1.0")
    assert found.sentences == said.out.splitlines()[-len(found.sentences) :]
    assert sum(line.startswith(" fixed steps ") for line in said.out.splitlines()) == 4
    assert f"`{exit}`" in Path("net.pt.card.md").read_text()


def test_judge_shows_the_points(command: Command) -> None:
    words = ("task=digits", "coding=direct", "backbone=mlp", "steps=3", "training.epochs=1", "training.subset=64")
    said = command("judge", *(part for word in words for part in ("--set", word)), "--to", "found.json")
    assert [line.split()[:3] for line in said.out.splitlines() if line.strip().startswith("cut at")] == [
        ["cut", "at", "1"],
        ["cut", "at", "2"],
    ]
    points = json.loads(Path("found.json").read_text())["points"]
    assert list(points) == ["1", "2"]
    assert points["1"]["latency_steps"] == 1


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("exits one/2 --tolerance -1", "--tolerance -1 must be 0 or more"),
        ("exits one/2 --to exits.txt", "picture exits.txt must end in .png or .svg or .html or .csv or .json"),
        ("export one/2 --to net.pt --exit best:1", "--exit best:1 has no rule: name one of max, entropy, gap"),
        ("export one/2 --to n.onnx --format onnx --exit gap:1", "exit: format onnx can't express gap:1.0; export it"),
    ],
)
def test_what_can_not_be_is_told_in_one_line(command: Command, uri: str, asked: str, problem: str) -> None:
    assert command(*asked.split(), "--tracking-uri", uri).problem().startswith(problem)


def test_a_network_that_can_not_stop_is_told_in_one_line(command: Command) -> None:
    words = ("task=digits", "coding=tcja", "backbone=mlp", "steps=3", "training.epochs=1", "training.subset=64")
    command("judge", *(part for word in words for part in ("--set", word)), "--export", "net.pt")
    problem = command("exits", "net.pt").problem()
    assert problem == "exits: coding 'tcja', as it is set up, can't be stopped before its last step"
