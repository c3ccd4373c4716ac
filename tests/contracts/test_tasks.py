from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.plugins import Task, load_registry
from spikefront.plugins.tasks.fashion_mnist import DEBIAN_FOLDER
from spikefront.plugins.testing import TaskContract

BUILT_IN = [entry.plugin for entry in load_registry(third_parties=False).entries["task"].values()]


class TestEveryTask(TaskContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Task]:
        plugin: type[Task] = request.param
        return plugin

    @pytest.fixture
    def data_dir(self) -> Path:
        return DEBIAN_FOLDER.parent  # a task that is given a folder doesn't download
