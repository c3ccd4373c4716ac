from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.searchspace.targets import replaced


@pytest.mark.parametrize("unique", [False, True])
def test_file_is_replaced_as_a_whole(tmp_path: Path, unique: bool) -> None:
    path = tmp_path / "net.pt"
    path.write_text("old")
    with replaced(path, unique=unique) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("net.pt", "new")]


@pytest.mark.parametrize("unique", [False, True])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, unique: bool) -> None:
    path = tmp_path / "net.pt"
    path.write_text("old")

    def write() -> None:
        with replaced(path, unique=unique) as part:
            part.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("net.pt", "old")]


def test_two_writers_have_files_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with replaced(path, unique=True) as one, replaced(path, unique=True) as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert path.read_text() == "1"
