"""Zips of unknown origin: what is read, and what is refused before it takes memory."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from spikefront.plugins.data.zips import Unreadable, members, open_member, open_zip, read_member

KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
LARGE = 1 << 30


def packed(path: Path, content: bytes, kind: int, name: str = "a") -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, content)
    return path


def bomb(path: Path, size: int, kind: int) -> Path:
    """Write a zip with one member of zeros, without holding them."""
    with zipfile.ZipFile(path, "w", kind) as archive, archive.open("a", "w", force_zip64=True) as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return path


def directory_says(path: Path, offset: int, value: bytes) -> None:
    """Overwrite a field of the first entry of the central directory."""
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02") + offset
    raw[at : at + len(value)] = value
    path.write_bytes(raw)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"x", os.urandom(70_000) * 3 + bytes(300_000)], ids=["none", "one", "many"])
def test_members_are_what_was_packed(tmp_path: Path, kind: int, content: bytes) -> None:
    archive = open_zip(packed(tmp_path / "a.zip", content, kind))
    entry = members(archive)["a"]
    assert read_member(archive, entry, LARGE) == content
    assert open_member(archive, entry, LARGE).read() == content


def test_backslashes_separate_folders_where_nothing_else_does(tmp_path: Path) -> None:
    assert list(members(open_zip(packed(tmp_path / "a.zip", b"x", 0, "photos\\cat\\0.png")))) == ["photos/cat/0.png"]
    assert list(members(open_zip(packed(tmp_path / "b.zip", b"x", 0, "cat/a\\0.png")))) == ["cat/a\\0.png"]


@pytest.mark.parametrize("kind", KINDS)
def test_member_that_claims_too_much_is_not_read(tmp_path: Path, kind: int) -> None:
    archive = open_zip(bomb(tmp_path / "a.zip", 8 << 20, kind))
    for read in (read_member, open_member):
        with pytest.raises(Unreadable, match=r"^it has 8,388,608 bytes, and may have 1,000$"):
            read(archive, members(archive)["a"], 1000)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_member_that_has_more_than_it_claims_takes_no_memory(tmp_path: Path, kind: int) -> None:
    path = bomb(tmp_path / "a.zip", 64 << 20, kind)
    directory_says(path, 24, struct.pack("<I", 1000))
    archive = open_zip(path)
    tracemalloc.start()
    with pytest.raises(Unreadable):
        read_member(archive, members(archive)["a"], 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # LZMA has a dictionary of 8 MiB


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_member_is_refused(tmp_path: Path, kind: int) -> None:
    path = packed(tmp_path / "a.zip", os.urandom(5000), kind)
    raw = bytearray(path.read_bytes())
    for at in (40, 45, 60, 2000):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
        archive = open_zip(path)
        with pytest.raises(Unreadable, match=r"^[^\n]+$"):
            read_member(archive, members(archive)["a"], LARGE)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (10, b"\x63\x00", "compression"),
        (8, b"\x01\x00", "encrypted"),
        (42, b"\xff\xff\xff\x7f", "."),
        (24, b"\x01\x00\x00\x00", "Bad CRC"),
        (16, b"\x01\x02\x03\x04", "."),
    ],
    ids=["method", "encrypted", "offset", "size", "checksum"],
)
def test_lies_of_the_directory_are_refused(tmp_path: Path, offset: int, value: bytes, reason: str) -> None:
    path = packed(tmp_path / "a.zip", b"content", zipfile.ZIP_DEFLATED)
    directory_says(path, offset, value)
    archive = open_zip(path)
    with pytest.raises(Unreadable, match=reason):
        read_member(archive, members(archive)["a"], LARGE)


def test_unknown_version_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", b"content", zipfile.ZIP_DEFLATED)
    directory_says(path, 6, b"\xff\x00")
    with pytest.raises(Unreadable, match=r"^zip file version 25\.5$"):
        open_zip(path)


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", os.urandom(5000), 0)
    raw = path.read_bytes()
    at, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
    entry = raw[at:end]
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 3, 3, 3 * len(entry), at, 0)
    path.write_bytes(raw[:at] + 3 * entry + tail)
    with pytest.raises(Unreadable, match=r"^its members share their bytes$"):
        open_zip(path)
