from __future__ import annotations

import pytest

from spikefront.runners.failures import one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError("two\n  lines\tand tabs "), "ValueError: two lines and tabs"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_exception_is_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == line
