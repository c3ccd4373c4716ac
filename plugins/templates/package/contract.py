"""What every coding must do; ``--doctest-modules`` checks the example of the plugin file."""

from __future__ import annotations

import pytest

from spikefront.plugins.testing import CodingContract
from spikefront.plugins.templates.coding import MyCoding


class TestMyCoding(CodingContract):
    """Tests that my-coding inherits; add those of its own."""

    @pytest.fixture
    def plugin(self) -> object:
        """Return what the tests are about."""
        return MyCoding
