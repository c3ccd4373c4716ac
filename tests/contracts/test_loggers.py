from __future__ import annotations

import pytest

from spikefront.plugins import Logger, load_registry
from spikefront.plugins.testing import LoggerContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["logger"].values()]


class TestEveryLogger(LoggerContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Logger]:
        monkeypatch.setenv("WANDB_MODE", "offline")  # nothing leaves this machine
        plugin: type[Logger] = request.param
        if library := getattr(plugin, "library", ""):
            pytest.importorskip(library, reason=f"extra {library} is not installed")
        return plugin
