from __future__ import annotations

from spikefront.results.plot import look


def test_codings_can_be_told_apart() -> None:
    assert len({tuple(look(index).values()) for index in range(72)}) == 72
