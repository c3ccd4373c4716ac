"""What JSON of a stranger may hold."""

from __future__ import annotations

import math

import pytest

from spikefront.searchspace.json_values import LARGEST, is_count, is_number, is_table, is_text, is_value


@pytest.mark.parametrize(
    ("value", "count", "number", "of_candidate"),
    [
        (0, True, True, True),
        (LARGEST, True, True, True),
        (LARGEST + 1, False, False, False),
        (-1, False, True, True),
        (1.5, False, True, True),
        (math.nan, False, True, True),
        (True, False, False, True),
        ("1", False, False, True),
        (None, False, False, False),
        ([1], False, False, False),
    ],
)
def test_numbers_are_no_switches_and_no_text(value: object, count: bool, number: bool, of_candidate: bool) -> None:
    assert (is_count(value), is_number(value), is_value(value)) == (count, number, of_candidate)
    assert is_text(value) == isinstance(value, str)


def test_a_table_has_at_least_its_keys_and_all_its_values_hold() -> None:
    assert is_table({"a": 1, "b": 2}, is_number, "a")
    assert not is_table({"b": 2}, is_number, "a")
    assert not is_table({"a": 1, "b": "2"}, is_number, "a")
    assert not is_table([("a", 1)], is_number)
