"""The folder of a search, claimed before anything starts."""

from __future__ import annotations

import errno
import fcntl
import warnings
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.claim import Claim
from spikefront.runners.engine.memory.journal import open_journal, read_attributes
from spikefront.runners.engine.memory.opening import create_study, reopen_study
from spikefront.runners.engine.memory.resume import about
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Objective, Space, UsageError

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)


def unnamed(folder: Path) -> SearchSettings:
    """Return settings of a search that nobody named, as if all began in the same second."""
    settings = SearchSettings("digits", folder=folder)
    object.__setattr__(settings, "name", "digits-1")
    return settings


def test_a_name_that_nobody_chose_is_made_free(tmp_path: Path) -> None:
    claims = [Claim(unnamed(tmp_path), {"digits-1-2"}.__contains__) for _ in range(3)]
    assert [claim.settings.name for claim in claims] == ["digits-1", "digits-1-3", "digits-1-4"]
    assert all(claim.settings.directory.is_dir() for claim in claims)
    for claim in claims:
        claim.release()


def test_a_search_that_does_not_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    with Claim(SearchSettings("digits", name="s", folder=tmp_path / "a" / "b")) as claim:
        assert (claim.settings.directory / "driver.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_search_that_began_stays_and_its_name_is_refused(tmp_path: Path) -> None:
    settings = SearchSettings("digits", name="s", folder=tmp_path)
    with Claim(settings):
        create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), {"options": {}})
    with pytest.raises(UsageError, match="a search named 's' is already in"):
        Claim(settings)
    Claim(SearchSettings("digits", name="s", resume="s", folder=tmp_path)).release()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UsageError) as said:
        Claim(SearchSettings("digits", name="s", folder=tmp_path))
    text = f"--folder '{tmp_path}': the file system has no locks; choose another"
    assert said.value.on_command_line().replace("'", "") == text.replace("'", "")
    assert not (tmp_path / "s" / "journal.log").exists()


def test_a_lock_file_takes_the_place_of_flock_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(fd: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    settings = SearchSettings("digits", name="s", folder=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Claim(settings), pytest.raises(UsageError, match="search 's' is being run by"):
            Claim(settings)


def begin(folder: Path, name: str = "s") -> dict[str, Any]:
    settings = SearchSettings("digits", name=name, folder=folder)
    stored = about(settings, REGISTRY, Space(REGISTRY, "digits"))
    create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), stored)
    return stored


def reopened(folder: Path, name: str) -> dict[str, Any]:
    settings = SearchSettings("digits", name=name, resume=name, folder=folder)
    reopen_study(settings, make_sampler(settings, REGISTRY))
    return dict(read_attributes(settings.directory)["search"])


def test_a_search_whose_folder_was_renamed_keeps_its_id(tmp_path: Path) -> None:
    before = begin(tmp_path)
    (tmp_path / "s").rename(tmp_path / "t")
    after = reopened(tmp_path, "t")
    assert after["id"] == before["id"]
    assert after["options"]["name"] == "t"
    assert reopened(tmp_path, "t") == after


def test_a_copy_of_a_search_is_a_search_of_its_own(tmp_path: Path) -> None:
    before = begin(tmp_path)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "journal.log").write_bytes((tmp_path / "s" / "journal.log").read_bytes())
    assert reopened(tmp_path, "t")["id"] != before["id"]
    assert reopened(tmp_path, "s")["id"] == before["id"]


def test_a_journal_of_an_earlier_version_gets_an_id_once(tmp_path: Path) -> None:
    settings = SearchSettings("digits", name="s", folder=tmp_path)
    create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), {"options": {"name": "s"}})
    first = reopened(tmp_path, "s")
    assert len(first["id"]) == 32
    assert reopened(tmp_path, "s")["id"] == first["id"]
    open_journal(tmp_path / "s")
