from __future__ import annotations

from typing import Any

import pytest

from spikefront.searchspace import Choice, Domain, Float, Int, describe
from spikefront.searchspace.domains import contains, on_grid, size


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Float(0.5, 2.0), [0.5, 1, 2.0], [0.4, 2.1, "1", True, None, float("nan")]),
        (Int(1, 9, step=2), [1, 3, 9], [0, 2, 10, 3.0, True, "3"]),
        (Float(0.1, 0.7, step=0.2), [0.1, 0.3, 0.1 + 2 * 0.2, 0.7], [0.2, 0.31, 0.9, True]),
        (Choice((1, "a", True)), [1, "a", True], [1.0, "b", False, None]),
    ],
    ids=["float", "int", "stepped float", "choice"],
)
def test_domain_holds_values_of_its_own_type_only(domain: Domain, inside: list[Any], outside: list[Any]) -> None:
    assert all(contains(domain, value) for value in inside)
    assert not any(contains(domain, value) for value in outside)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Float(0.3, 2.0), "0.3..2"),
        (Float(1e-4, 0.1, log=True), "0.0001..0.1 (log)"),
        (Int(1, 10_000_000), "1..10000000"),
        (Int(1, 9, step=2), "1..9 (step 2)"),
        (Float(0, 1, step=0.25), "0..1 (step 0.25)"),
        (Choice(("hard", "soft")), "hard, soft"),
    ],
)
def test_domain_is_described_as_it_is_written(domain: Domain, text: str) -> None:
    assert describe(domain) == text


@pytest.mark.parametrize(
    ("domain", "count"),
    [
        (Float(0, 1), None),
        (Float(1e-3, 1, log=True), None),
        (Float(0.5, 0.5), 1),
        (Float(0.1, 0.7, step=0.2), 4),
        (Int(1, 9, step=2), 5),
        (Int(1, 16, log=True), 16),
        (Choice(("a", "b")), 2),
    ],
)
def test_size_counts_the_values(domain: Domain, count: int | None) -> None:
    assert size(domain) == count


def test_values_of_a_grid_have_no_error_of_rounding() -> None:
    domain = Float(0.1, 0.7, step=0.2)
    assert [on_grid(domain, 0.1 + n * 0.2) for n in range(4)] == [0.1, 0.3, 0.5, 0.7]
