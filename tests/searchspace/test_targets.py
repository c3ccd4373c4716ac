"""Files to write: what can't be one is refused before anything is read, and nothing is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikefront.searchspace import UsageError
from spikefront.searchspace.targets import check_target, is_writable


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.html").mkdir()
    Path("notes").write_text("mine")
    Path("link").symlink_to("notes")
    Path("gone").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("folder.html", "is a folder; name a file in it, for example folder.html/1.html"),
        ("pipe", "is neither a regular file nor a new name; take another"),
        ("gone", "is neither a regular file nor a new name; take another"),
        ("loop", "is neither a regular file nor a new name; take another"),
        ("nowhere/x", ": folder nowhere does not exist; create it or take another"),
        ("notes/x", ": folder notes does not exist; create it or take another"),
        ("loop/x", ": folder loop does not exist; create it or take another"),
        ("é" * 126, ": its name is too long; take another"),  # 252 bytes, and 5 more
        ("/proc/x", "can't be written; take another"),
    ],
)
def test_what_can_not_be_written_is_refused(file: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_target(file, "page", todo="take another", beside=".part")
    assert caught.value.on_command_line() == f"page {file}{'' if problem[0] == ':' else ' '}{problem}"


@pytest.mark.parametrize("file", ["new", "notes", "link", "folder.html/new", "é" * 125])
def test_new_files_and_those_that_are_there_can_be_written_and_nothing_is_left(file: str) -> None:
    before = sorted(Path().rglob("*"))
    check_target(file, beside=".part")
    assert sorted(Path().rglob("*")) == before
    assert Path("notes").read_text() == "mine"


@pytest.mark.skipif(os.access("/proc", os.W_OK) is False, reason="permissions say so")
def test_a_folder_that_holds_no_files_is_not_writable_whatever_its_permissions() -> None:
    assert not is_writable(Path("/proc"))
    assert is_writable(Path())


def test_messages_name_the_option_in_the_words_of_python() -> None:
    with pytest.raises(UsageError, match=r"^to=.*pipe.* is neither"):
        check_target("pipe")
