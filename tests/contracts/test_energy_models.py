from __future__ import annotations

import pytest

from spikefront.plugins import EnergyModel, load_registry
from spikefront.plugins.testing import EnergyModelContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["energy"].values()]


class TestEveryEnergyModel(EnergyModelContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[EnergyModel]:
        plugin: type[EnergyModel] = request.param
        return plugin
