from __future__ import annotations

import pytest

from spikefront.plugins import Backbone, load_registry
from spikefront.plugins.testing import BackboneContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["backbone"].values()]


class TestEveryBackbone(BackboneContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Backbone]:
        plugin: type[Backbone] = request.param
        return plugin
