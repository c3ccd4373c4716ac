"""Options: read from text and from plain values, and declared once by a dataclass or a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import (
    Option,
    count,
    duration,
    energy,
    many,
    number,
    options_of,
    path,
    shares,
    switch,
    text,
    whole,
)


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (whole, "12", 12),
        (whole, 12, 12),
        (whole, 12.0, 12),
        (number, "0.5", 0.5),
        (number, 3, 3.0),
        (text, "rate", "rate"),
        (text, 2024, "2024"),
        (text, Path("a/b"), "a/b"),
        (path, "a/b", Path("a/b")),
        (path, Path("a/b"), Path("a/b")),
        (switch, True, True),
        (energy, "2uJ", 2000.0),
        (energy, 500, 500.0),
        (duration, "1h30m", 5400.0),
        (duration, 90.5, 90.5),
        (count, "100k", 1e5),
        (count, "20000", 2e4),
        (count, 20_000, 2e4),
        (shares, "15%,0.45", (0.15, 0.45)),
        (shares, [0.15, 0.45], (0.15, 0.45)),
        (shares, 0.5, (0.5,)),
        (many(text), "latency", ("latency",)),
        (many(text), ["latency", "parameters"], ("latency", "parameters")),
        (many(path), Path("a"), (Path("a"),)),
        (many(path), ("a", Path("b")), (Path("a"), Path("b"))),
        (many(whole), [], ()),
    ],
)
def test_text_and_plain_values_are_read(read: Callable[[Any], Any], value: Any, expected: Any) -> None:
    found = read(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("read", "value", "problem"),
    [
        (whole, "1.5", "is not a whole number"),
        (whole, 1.5, "is not a whole number"),
        (whole, True, "is not a whole number"),
        (whole, [1], "is not a whole number"),
        (number, "many", "is not a number"),
        (number, None, "is not a number"),
        (number, False, "is not a number"),
        (number, math.nan, "must be a finite number"),
        (number, "inf", "must be a finite number"),
        (text, True, "is not text"),
        (text, {"a": 1}, "is not text"),
        (path, "", "is not a path"),
        (path, 3, "is not a path"),
        (switch, "yes", "is not true or false"),
        (switch, 1, "is not true or false"),
        (energy, "500", "'500' is not an energy: give a number above 0 and a unit of pJ, nJ, uJ, mJ, J, like 500nJ"),
        (energy, 0, "must be above 0: nanojoules, or text with a unit like 500nJ"),
        (duration, -1.0, "must be above 0: seconds, or text with a unit like 90s"),
        (duration, [], "is not a number"),
        (count, 0, "must be above 0: a count, or text like 100k"),
        (shares, [0.5, 1.0], "is not a list of shares: give numbers between 0 and 1, like 0.15,0.45"),
        (shares, [], "is not a list of shares: give numbers between 0 and 1, like 0.15,0.45"),
        (many(text), ["a", True], "is not text"),
    ],
)
def test_other_values_are_refused(read: Callable[[Any], Any], value: Any, problem: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        read(value)
    assert str(error.value) == problem


@dataclass(frozen=True)
class Base:
    """Options that others have, too."""

    task: Annotated[str | None, Option("What", is_argument=True)] = None
    """What to do."""


@dataclass(frozen=True)
class Tasting(Base):
    """Options of a tasting."""

    from_: Annotated[str | None, Option("Where", text)] = None
    """Vineyard."""
    max_price: Annotated[float | str | None, Option("Budget", count, flag="--price", changeable=True)] = None
    """What a bottle
    may cost."""
    plain: int = 3
    """No option."""


def taste(
    task: str, *, glasses: Annotated[int, Option("Budget", whole), "Glasses of each."] = 2, other: int = 0
) -> Any:
    """Taste."""


def test_a_dataclass_declares_options_in_order_inherited_ones_first() -> None:
    declared = options_of(Tasting)
    assert list(declared) == ["task", "from_", "max_price"]
    assert [option.key for option in declared.values()] == ["task", "from", "max_price"]
    assert [option.flag for option in declared.values()] == ["--task", "--from", "--price"]
    assert [option.doc for option in declared.values()] == ["What to do.", "Vineyard.", "What a bottle may cost."]
    assert [option.option.changeable for option in declared.values()] == [False, False, True]
    assert declared["max_price"].default is None


def test_a_function_declares_the_parameters_that_are_options() -> None:
    (glasses,) = options_of(taste).values()
    assert (glasses.name, glasses.flag, glasses.default, glasses.doc) == ("glasses", "--glasses", 2, "Glasses of each.")
    assert glasses.read("3") == 3


def test_an_option_that_can_not_be_read_is_named() -> None:
    price = options_of(Tasting)["max_price"]
    with pytest.raises(OptionError) as error:
        price.read("cheap")
    rule = "is not a count: give a number above 0, with k or M or without: 20000, 100k, 1.5M"
    assert str(error.value) == f"max_price='cheap' {rule}"  # the value once
    assert error.value.on_command_line() == f"--price cheap {rule}"
    with pytest.raises(OptionError, match=r"^menu\.yaml, line 2: from: True is not text$"):
        options_of(Tasting)["from_"].read(True, "menu.yaml, line 2")
