from __future__ import annotations

import pytest

from spikefront.plugins import Sampler, load_registry
from spikefront.plugins.testing import SamplerContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["sampler"].values()]


class TestEverySampler(SamplerContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Sampler]:
        plugin: type[Sampler] = request.param
        return plugin
