"""Passwords of a tracking address while a search is stored and resumed."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from tests.runners.engine.memory.test_resume import OBJECTIVES, REGISTRY, search_settings

from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.resume import about, resumed_settings
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.settings import OPTIONS, SearchSettings
from spikefront.searchspace import Space, UsageError

SECRET = "Q7/pa@ss%Z9"
ADDRESSES = (
    f"postgresql://me:{quote(SECRET, safe='')}@host/db",
    f"mysql+pymysql://host/db?user=me&password={quote(SECRET, safe='')}",
    f"mssql+pyodbc:///?odbc_connect={quote(f'SERVER=h;PWD={SECRET}', safe='')}",
    f"https://me:{quote(SECRET, safe='')}@host",
)


def begin_with(tmp_path: Path, space: Space, uri: str) -> SearchSettings:
    settings = search_settings(tmp_path, task="digits", tracking_uri=uri)
    create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), about(settings, REGISTRY, space))
    return settings


@pytest.mark.parametrize("uri", ADDRESSES)
def test_a_password_is_not_in_the_journal_and_is_asked_for_again(
    uri: str, tmp_path: Path, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("URI", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    settings = begin_with(tmp_path, space, uri)
    journal = (tmp_path / "s" / "journal.log").read_text()
    assert settings.tracking_uri == uri
    for text in (journal, str(settings), str(settings.stored()), str(OPTIONS["tracking_uri"].error(uri, "is odd"))):
        assert not any(part in text for part in ("Q7", "Z9", SECRET))
    given = {"resume": "s", "folder": tmp_path}
    said = r"^search 's' writes to .*\*\*\*.*, and its password is not stored; give"
    with pytest.raises(UsageError, match=said) as caught:
        resumed_settings(given)
    assert "Q7" not in str(caught.value)
    assert resumed_settings({**given, "tracking_uri": uri}).tracking_uri == uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert resumed_settings(given).tracking_uri == uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    with pytest.raises(UsageError, match="its password is not stored"):
        resumed_settings(given)


def test_a_password_that_mlflow_reads_from_the_environment_need_not_be_in_the_address(
    tmp_path: Path, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    begin_with(tmp_path, space, "https://me:secret@host/mlflow")
    assert resumed_settings({"resume": "s", "folder": tmp_path}).tracking_uri == "https://host/mlflow"


def test_an_address_without_a_password_is_taken_from_the_journal(tmp_path: Path, space: Space) -> None:
    begin_with(tmp_path, space, "postgresql://me@host/db?timeout=60")
    resumed = resumed_settings({"resume": "s", "folder": tmp_path})
    assert resumed.tracking_uri == "postgresql://me@host/db?timeout=60"
