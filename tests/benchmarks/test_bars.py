"""Pictures of benchmarks: each bar's name and number is there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("bars")


def test_bars_have_names_numbers_and_panels(bars: Any) -> None:
    rows = [
        {"name": name, "panel": panel, "value": value, "ours": name == "one"}
        for panel, values in (("T = 4", (12.5, 30.0)), ("T = 8", (25.0, 61.0)))
        for name, value in zip(("one", "other"), values, strict=True)
    ]

    svg = bars.bars(rows, "training step (ms)", "two bars").svg()

    for text in (">one<", ">other<", ">T = 4<", ">T = 8<", ">12.5<", ">30<", ">25<", ">61<", "training step (ms)"):
        assert text in svg


def test_shares_have_a_legend_of_parts_in_their_order(bars: Any, tmp_path: Path) -> None:
    rows = [{"name": "a", "part": part, "value": value} for part, value in (("zz", 70.0), ("bb", 30.0))]

    picture = bars.shares(rows, "% of it", "one bar")
    svg = picture.svg()

    assert svg.index(">zz<") < svg.index(">bb<")
    assert "% of it" in svg
    assert picture.save(tmp_path / "shares.csv").read_text().splitlines() == [
        "name,part,value",
        "a,zz,70.0",
        "a,bb,30.0",
    ]
