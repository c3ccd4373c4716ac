from __future__ import annotations

import pytest

from spikefront.plugins import StoppingRule, load_registry
from spikefront.plugins.testing import StoppingRuleContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["stopping"].values()]


class TestEveryStoppingRule(StoppingRuleContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[StoppingRule]:
        plugin: type[StoppingRule] = request.param
        return plugin
