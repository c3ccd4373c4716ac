from __future__ import annotations

from spikefront.plugins import load_registry
from spikefront.plugins.testing import assert_survive_fresh_process


def test_every_class_and_config_survives_a_fresh_process() -> None:
    entries = load_registry(third_parties=False).entries.values()
    assert_survive_fresh_process([entry.plugin for names in entries for entry in names.values()])
