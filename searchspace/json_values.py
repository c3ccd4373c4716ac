"""Checks of what JSON of a stranger may hold, where a candidate, its metrics or texts by name are expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LARGEST: Final = 1 << 53
"""Beyond it not every integer is a float."""


def is_text(value: object) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_count(value: object) -> bool:
    """Return whether a value is a whole number from 0 on, and no switch."""
    return type(value) is int and 0 <= value <= LARGEST


def is_number(value: object) -> bool:
    """Return whether a value is a number that a float holds, and no switch; it may be infinite or NaN."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= LARGEST)


def is_value(value: object) -> bool:
    """Return whether a value may be that of a hyperparameter."""
    return isinstance(value, (str, bool)) or is_number(value)


def is_table(value: object, holds: Callable[[object], bool], *keys: str) -> bool:
    """Return whether a value is a mapping with these keys at least, all values of which hold."""
    return isinstance(value, dict) and value.keys() >= {*keys} and all(map(holds, value.values()))
