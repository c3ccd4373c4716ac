from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.plugins.tasks.digits import Digits


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry(third_parties=False)


@pytest.fixture(scope="session")
def data() -> SearchData:
    """Return the digits, of which no test may change anything."""
    return Digits().search_data(None, 1)


@pytest.fixture(scope="module")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a folder with one plugin file, of this text."""

    def make(text: str) -> Path:
        folder = tmp_path_factory.mktemp("plugins")
        (folder / "loose.py").write_text(text)
        return folder

    return make
