from __future__ import annotations

import pytest

from spikefront.plugins import Coding, load_registry
from spikefront.plugins.testing import CodingContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["coding"].values()]


class TestEveryCoding(CodingContract):
    @pytest.fixture(
        params=[
            pytest.param(one, marks=pytest.mark.slow) if one.library else one  # which tests/plugins/adapters has
            for one in BUILT_IN
        ],
        ids=lambda plugin: plugin.name,
    )
    def plugin(self, request: pytest.FixtureRequest) -> type[Coding]:
        plugin: type[Coding] = request.param
        return plugin
