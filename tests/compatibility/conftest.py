"""A store, searches and an archive that an earlier version wrote; README.md says how."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

HERE: Final = Path(__file__).parent
WRITTEN_IN: Final = "/tmp/base/fix"


@dataclass(frozen=True, slots=True)
class Stored:
    """A copy of what the earlier version wrote.

    Attributes:
        folder: with ``searches/`` and ``mlruns/``.
        uri: of the MLflow store.
    """

    folder: Path
    uri: str

    @property
    def searches(self) -> Path:
        return self.folder / "searches"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Unpack the store, and work beside it as the user who ran the searches does."""
    with ZipFile(HERE / "stored.zip") as archive:
        archive.extractall(tmp_path)
    script = (tmp_path / "mlflow.sql").read_text(encoding="utf-8").replace(WRITTEN_IN, str(tmp_path))
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.executescript(script)
    database.close()
    monkeypatch.chdir(tmp_path)
    return Stored(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
