from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in place of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "spikefront"


@pytest.fixture(scope="session")
def nmnist() -> Path:
    """A folder with a few real recordings; its README names their source and licence."""
    return Path(__file__).parents[2] / "data" / "nmnist"
