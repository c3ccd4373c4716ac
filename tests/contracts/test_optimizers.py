from __future__ import annotations

import pytest

from spikefront.plugins import Optimizer, load_registry
from spikefront.plugins.testing import OptimizerContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["optimizer"].values()]


class TestEveryOptimizer(OptimizerContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Optimizer]:
        plugin: type[Optimizer] = request.param
        return plugin
