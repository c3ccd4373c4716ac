from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from spikefront.runners.engine.placing.authentication import prepare_token, warn_if_disabled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_a_new_token_can_be_read_by_its_user_alone(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        prepare_token()
    finally:
        os.umask(before)
    token = home / ".ray" / "auth_token"
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]
    assert (rights(token.parent), rights(token)) == (0o700, 0o600)
    assert len(bytes.fromhex(token.read_text())) == 32
    first = token.read_text()
    prepare_token()
    assert token.read_text() == first, "other searches use it"


def test_rights_of_others_on_an_earlier_token_are_taken_away(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o755)
    token.write_text("a" * 64)
    token.chmod(0o644)
    prepare_token()
    assert (rights(token.parent), rights(token), token.read_text()) == (0o700, 0o600, "a" * 64)


def test_a_home_that_can_not_be_written_gives_the_search_a_token_of_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".ray").write_text("no folder")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # restored by monkeypatch
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    prepare_token()
    assert len(bytes.fromhex(os.environ["RAY_AUTH_TOKEN"])) == 32


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_that_the_user_names_is_used_as_it_is(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "given")
    prepare_token()
    assert os.environ[name] == "given"
    assert not (home / ".ray").exists()


@pytest.mark.parametrize(("mode", "warnings"), [("disabled", 1), ("Disabled", 1), ("token", 0), (None, 0)])
def test_authentication_that_is_turned_off_is_warned_of(
    home: Path, mode: str | None, warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with caplog.at_level(logging.WARNING):
        warn_if_disabled()
    assert len(caplog.records) == warnings
    assert all("RAY_AUTH_MODE" in record.getMessage() for record in caplog.records)
