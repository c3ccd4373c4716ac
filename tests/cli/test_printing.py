from __future__ import annotations

import json

import pandas
import pytest

from spikefront.commands.printing import Format, print_rows, print_table


def test_a_front_is_printed_with_units_and_without_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    front = {"search": ["s", "s"], "trial": [3, 14], "quality": [0.5, 0.98765], "energy_nj": [10.0, 2e3]}
    more = {"latency_steps": [4.0, float("nan")], "coding": ["sac", "[bold]"], "run_id": ["a", "b"]}
    frame = pandas.DataFrame(front | more)
    frame.attrs["quality"] = "r2"
    print_table(frame)
    title, _, head, _, *rows = capsys.readouterr().out.rstrip().splitlines()
    assert title.strip() == "front of s; quality is r2"
    assert head.split() == ["trial", "quality", "energy", "latency", "coding"]
    assert [row.split() for row in rows] == [
        ["3", "0.5", "10.0", "nJ", "4", "sac"],
        ["14", "0.9877", "2.00", "µJ", "[bold]"],
    ]


def test_an_empty_table_is_only_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(pandas.DataFrame(columns=["search", "trial"]))
    assert capsys.readouterr().out.split()[0] == "trial"


def test_numbers_in_json_keep_all_their_bits(capsys: pytest.CaptureFixture[str]) -> None:
    values = [0.1 + 0.2, 33.595, 1 / 3]
    print_rows(pandas.DataFrame({"energy_nj": values, "trial": [1, 2, 3], "coding": ["é", "b", ""]}), Format.json)
    rows = json.loads(capsys.readouterr().out)
    assert [row["energy_nj"] for row in rows] == values
    assert rows[0] == {"energy_nj": 0.1 + 0.2, "trial": 1, "coding": "é"}


def test_what_is_missing_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pandas.DataFrame({"a": [1.5, float("nan")], "b": pandas.Series([float("nan"), "text"], dtype=object)})
    print_rows(frame, Format.json)
    assert json.loads(capsys.readouterr().out) == [{"a": 1.5, "b": None}, {"a": None, "b": "text"}]


def test_an_energy_is_printed_with_its_error_and_marked_where_a_neighbour_costs_as_much(
    capsys: pytest.CaptureFixture[str],
) -> None:
    front = {"search": ["s"] * 3, "trial": [3, 4, 5], "energy_nj": [12.34, 12.5, 1234.0]}
    front |= {"energy_se_nj": [0.21, 0.2, float("nan")], "same_energy_as": ["4", "3", ""]}
    print_table(pandas.DataFrame(front))
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if "nJ" in line or "µJ" in line]
    assert rows == [
        ["3", "12.3", "±", "0.2", "nJ", "~"],
        ["4", "12.5", "±", "0.2", "nJ", "~"],
        ["5", "1.23", "µJ"],
    ]
    assert "~ its energy and that of a neighbour on the front differ by less than two standard errors" in shown
    print_table(pandas.DataFrame(front).drop(columns="same_energy_as"))
    assert "~" not in capsys.readouterr().out
