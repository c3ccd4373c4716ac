from __future__ import annotations

import pytest

from spikefront.plugins import Loss, load_registry
from spikefront.plugins.testing import LossContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["loss"].values()]


class TestEveryLoss(LossContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Loss]:
        plugin: type[Loss] = request.param
        return plugin
