from __future__ import annotations

import math

import pytest

from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.exits import Exit


@pytest.mark.parametrize(
    "exit", [Exit("max", 0.1 + 0.2), Exit("entropy", 0.0), Exit("gap", 1e-7), Exit("gap", math.inf)]
)
def test_an_exit_survives_text(exit: Exit) -> None:
    assert Exit.parse(str(exit)) == exit


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max", "must be RULE:THRESHOLD, such as max:0.9"),
        ("max:high", "must be RULE:THRESHOLD"),
        ("sure:0.9", "has no rule: name one of max, entropy, gap"),
        ("gap:-1", "has no threshold of at least 0"),
        ("gap:nan", "has no threshold"),
    ],
)
def test_text_that_is_no_exit_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Exit.parse(text)


def test_an_exit_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match="exit gap:-1 has no threshold of at least 0"):
        Exit("gap", -1)
