"""Zip files of unknown origin: listed and read piece by piece, within limits, whatever is wrong with them."""

from __future__ import annotations

import bz2
import copy
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

_PIECE: Final = 1 << 16
_KEPT: Final = 1 << 24
"""Most bytes of a member that ``open_member`` reads at once."""
_DICTIONARY: Final = 1 << 28
"""Most memory that LZMA may ask for."""
_NO_MARKER: Final = 0x2  # flag of a zip: LZMA's end is marked in the data


class Unreadable(Exception):
    """What is wrong with a zip or with one of its members, in a few words."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip for reading.

    Raises:
        Unreadable: when it is damaged, no zip, or has members that share their bytes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory makes zipfile raise anything
        raise Unreadable(_reason(error)) from error
    if sum(entry.compress_size for entry in archive.infolist()) > path.stat().st_size:
        archive.close()
        raise Unreadable("its members share their bytes")
    return archive


def members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    r"""Return the entries by name; folders end in ``/``. Where no name has a ``/``, ``\`` separates folders."""
    entries = archive.infolist()
    if any("/" in entry.filename for entry in entries):
        return {entry.filename: entry for entry in entries}
    return {entry.filename.replace("\\", "/"): entry for entry in entries}


def read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytearray:
    """Return the content of a member.

    Args:
        archive: the zip.
        entry: the member.
        most: bytes that it may have.

    Raises:
        Unreadable: when it claims or has more, is damaged, encrypted, or compressed in an unknown way.
    """
    content = bytearray()
    for piece in pieces(archive, entry, most):
        content += piece
    return content


def open_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> BinaryIO:
    """Return a member as an open file; one above 16 MiB is read piece by piece, and may turn out damaged on the way.

    Raises:
        Unreadable: as ``read_member`` does, and for one above 16 MiB that is packed by another way than deflate.
    """
    _refuse_large(entry, most)
    if entry.file_size <= _KEPT:
        return io.BytesIO(read_member(archive, entry, most))
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"it has {entry.file_size:,} bytes; above {_KEPT:,} it must be stored, or packed by deflate")
    try:
        return cast(BinaryIO, archive.open(entry))
    except Exception as error:  # as in ``pieces``
        raise Unreadable(_reason(error)) from error


def pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> Iterator[bytes]:
    """Yield the content of a member in pieces of some 64 KiB.

    Raises:
        Unreadable: as ``read_member`` does.
    """
    _refuse_large(entry, most)
    try:
        size = checksum = 0
        for piece in _unpacked(archive, entry):
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
            if size > entry.file_size:
                break
            yield piece
        if size != entry.file_size or checksum != entry.CRC:
            raise Unreadable("its size or checksum is another")
    except Unreadable:
        raise
    except Exception as error:  # damaged data make each kind of compression raise its own
        raise Unreadable(_reason(error)) from error


def _refuse_large(entry: zipfile.ZipInfo, most: int) -> None:
    if entry.file_size > most:
        raise Unreadable(f"it has {entry.file_size:,} bytes, and may have {most:,}")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with archive.open(entry) as file:
            while piece := file.read(_PIECE):
                yield piece
        return
    # zipfile unpacks all that 4 KiB of these two stand for at once, which can be gigabytes
    packed = copy.copy(entry)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, entry.compress_size
    del packed.CRC  # that of the unpacked data
    with archive.open(packed) as file:
        decoder: bz2.BZ2Decompressor | lzma.LZMADecompressor
        if entry.compress_type == zipfile.ZIP_BZIP2:
            decoder, head = bz2.BZ2Decompressor(), b""
        else:
            decoder, head = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_DICTIONARY), _lzma_head(file, entry)
        if head:
            yield decoder.decompress(head, _PIECE)
        while not decoder.eof:
            packed_piece = file.read(_PIECE) if decoder.needs_input else b""
            if decoder.needs_input and not packed_piece:
                raise EOFError("cut short")
            yield decoder.decompress(packed_piece, _PIECE)


def _lzma_head(file: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    """Return the head of an ``.lzma`` file for what a zip has in its place: version, length, and properties."""
    head = file.read(9)
    if len(head) < 9 or head[2:4] != b"\x05\x00":
        raise Unreadable("its head is damaged")
    size = -1 if entry.flag_bits & _NO_MARKER else entry.file_size
    return head[4:] + size.to_bytes(8, "little", signed=True)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
