from __future__ import annotations

from spikefront.plugins import load_registry
from spikefront.plugins.testing import assert_survive_fresh_process


def test_every_class_and_config_survives_a_fresh_process() -> None:
    entries = load_registry(third_parties=False).entries
    plugins = [entry.plugin for kind, names in entries.items() if kind != "objective" for entry in names.values()]
    assert_survive_fresh_process(plugins)
