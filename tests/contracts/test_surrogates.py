from __future__ import annotations

import pytest

from spikefront.plugins import Surrogate, load_registry
from spikefront.plugins.testing import SurrogateContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["surrogate"].values()]


class TestEverySurrogate(SurrogateContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Surrogate]:
        plugin: type[Surrogate] = request.param
        return plugin
