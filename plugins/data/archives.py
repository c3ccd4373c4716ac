"""Published archives: found in the user's folder or downloaded, and read without running anything that is in them."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pickletools
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pooch

from spikefront.searchspace import UsageError

_CHUNK: Final = 1 << 20
_LARGEST_MEMBER: Final = 1 << 28
"""Most bytes of a member, head included: CIFAR-100's have 155 MB."""
_LARGEST: Final = 1 << 31
"""Most bytes of all members together."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One published file.

    Attributes:
        title: what the data set is called.
        name: name of the file.
        url: where it is published.
        md5: checksum that was published with it.
    """

    title: str
    name: str
    url: str
    md5: str

    def locate(self, data_dir: Path | None, folder: str) -> Path:
        """Return where the archive lies, in ``data_dir`` or its ``folder``, or would lie in the user's cache.

        Raises:
            UsageError: when it is not in ``data_dir``.
        """
        if data_dir is None:
            return Path(pooch.os_cache("spikefront")) / self.name
        for path in (data_dir / self.name, data_dir / folder / self.name):
            if os.path.isfile(path):
                return path
        raise UsageError(f"--data-dir {data_dir}: no {self.name} there, nor in its folder {folder}")

    def find(self, data_dir: Path | None, folder: str) -> Path:
        """Return where the archive lies: in ``data_dir``, or its ``folder``, or else downloaded to the user's cache.

        Only what is downloaded is held to the checksum: a folder of the user's may hold an excerpt.

        Raises:
            UsageError: when it is not in ``data_dir``, can't be downloaded, or is not what was published.
        """
        if data_dir is not None:
            return self.locate(data_dir, folder)
        try:
            return Path(pooch.retrieve(self.url, f"md5:{self.md5}", fname=self.name, path=pooch.os_cache("spikefront")))
        except ValueError as error:
            raise UsageError(
                f"{self.title}: what {self.url} gives is not the published {self.name} (MD5 {self.md5}); download it "
                "elsewhere and give --data-dir its folder"
            ) from error
        except OSError as error:
            raise UsageError(
                f"{self.title}: {self.name} can't be downloaded ({type(error).__name__}); give --data-dir the folder "
                "with that file"
            ) from error


def read_members(path: Path, names: Sequence[str]) -> list[bytes]:
    """Return the contents of some files of a ``.tar.gz``, in the order of ``names``; the whole archive is checked.

    Raises:
        UsageError: when the archive is damaged, cut short, or lacks one of the files.
    """
    found: dict[str, bytes] = {}
    try:
        with gzip.open(path) as file:
            unpacked = _Bounded(file)
            with tarfile.open(fileobj=unpacked, mode="r:") as archive:
                for member in archive:
                    if member.name in names and member.isfile():
                        found[member.name] = _content(archive, member, path)
            while unpacked.read(_CHUNK):  # gzip compares its checksum at the end
                pass
    except UsageError:
        raise
    except Exception as error:  # a damaged head makes tarfile raise anything
        raise UsageError(f"{path}: damaged or cut short ({_reason(error)}); fetch it again") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"{path}: no {missing[0]} in it; fetch the published one")
    return [found[name] for name in names]


class _Bounded(io.RawIOBase):
    """A file whose pieces, and which as a whole, are no larger than in any published archive.

    tarfile reads a member's extended head at once, whatever size it claims.
    """

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_MEMBER:
            raise ValueError(f"a part of {size:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset > _LARGEST:
            raise ValueError(f"more than {_LARGEST:,} bytes")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    if member.size > _LARGEST_MEMBER:
        raise UsageError(f"{path}: {member.name} claims {member.size} bytes, more than any published one has")
    reader = archive.extractfile(member)
    assert reader is not None, "it is a file"
    content = reader.read()
    if len(content) != member.size:
        raise EOFError(f"{member.name} ends early")
    return content


def read_pickle(content: bytes, where: str) -> Any:
    """Read a pickle of Python 2 that holds nothing but plain values and NumPy arrays.

    Args:
        content: the pickle.
        where: what to call it in messages.

    Returns:
        What was pickled; its strings are ``bytes``.

    Raises:
        UsageError: when it is damaged, or asks for anything but an array.
    """
    try:
        _refuse_large_memo(content)
        return _Plain(io.BytesIO(content), encoding="bytes").load()
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    except Exception as error:  # a damaged pickle raises anything
        raise UsageError(f"{where}: no readable pickle ({type(error).__name__})") from error


def _refuse_large_memo(content: bytes) -> None:
    """Refuse to number an object beyond the length of the file: the unpickler makes room for all numbers below."""
    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= len(content):
            raise ValueError(f"object number {argument}")


class _Ndarray:
    """What ``numpy.ndarray`` stands for in a pickle: an argument, never called."""


def _empty_array(kind: object, shape: object, code: object) -> Any:
    """Return an empty array, which the pickle fills: as NumPy writes it, so that no other size can be asked for."""
    if kind is not _Ndarray or shape != (0,):
        raise ValueError("not an array as NumPy pickles it")
    return np.empty(0, np.int8)


class _Plain(pickle.Unpickler):
    """Unpickler of the three names that a pickled array consists of, under NumPy's old name and its new one."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy", "ndarray"): _Ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        }
        if (module, name) not in known:
            raise UsageError(f"it asks for {module}.{name}, which has no place in a file of arrays; not read")
        return known[module, name]
