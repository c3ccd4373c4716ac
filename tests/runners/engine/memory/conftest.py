from __future__ import annotations

import pytest

from spikefront.plugins import Registry
from spikefront.searchspace import Space, parse_set


@pytest.fixture
def space(registry: Registry) -> Space:
    """The space of a search of digits by two codings."""
    return Space(registry, "digits", [parse_set("coding=latency,rate")])
