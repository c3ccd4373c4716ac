from __future__ import annotations

import pandas
import pytest

from spikefront.results.tables import print_table


def test_a_front_is_printed_with_units_and_without_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    front = {"search": ["s", "s"], "trial": [3, 14], "quality": [0.5, 0.98765], "energy_nj": [10.0, 2e3]}
    more = {"latency_steps": [4.0, float("nan")], "coding": ["sac", "[bold]"], "run_id": ["a", "b"]}
    print_table(pandas.DataFrame(front | more))
    title, _, head, _, *rows = capsys.readouterr().out.rstrip().splitlines()
    assert title.strip() == "front of s"
    assert head.split() == ["trial", "quality", "energy", "latency", "coding"]
    assert [row.split() for row in rows] == [
        ["3", "0.5", "10.0", "nJ", "4", "sac"],
        ["14", "0.9877", "2.00", "µJ", "[bold]"],
    ]


def test_an_empty_table_is_only_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(pandas.DataFrame(columns=["search", "trial"]))
    assert capsys.readouterr().out.split()[0] == "trial"
