from __future__ import annotations

import pytest

from spikefront.plugins import Logger, load_registry
from spikefront.plugins.testing import LoggerContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["logger"].values()]
PLUGINS = [
    pytest.param(plugin, id=plugin.name, marks=[pytest.mark.slow] if plugin.library else []) for plugin in BUILT_IN
]
"""Those that need a library start processes of their own, which takes seconds."""


class TestEveryLogger(LoggerContract):
    @pytest.fixture(params=PLUGINS)
    def plugin(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Logger]:
        monkeypatch.setenv("WANDB_MODE", "offline")  # nothing leaves this machine
        plugin: type[Logger] = request.param
        return plugin
