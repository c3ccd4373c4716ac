"""Folders of images, or zips of them: what is there, and how an image becomes pixels of one size."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from spikefront.searchspace import UsageError

SUFFIXES: Final = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings of the files that count as images, in lower case."""

_GREY: Final = frozenset({"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N"})
_UNSCALED: Final = frozenset({"I", "F"})  # numbers whose white is not known

Pixels = npt.NDArray[np.uint8]


class Source(Protocol):
    """A source of image files; safe to use from several threads."""

    @property
    def path(self) -> Path:
        """The folder or the zip."""
        ...

    def names(self) -> Iterator[tuple[str, str]]:
        """Name every folder (ending in ``/``) and file below, in a fixed order, each with a mark of its state."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the file system, links followed."""

    path: Path

    def names(self) -> Iterator[tuple[str, str]]:
        yield from self._below("")

    def _below(self, prefix: str) -> Iterator[tuple[str, str]]:
        for entry in sorted(os.scandir(self.path / prefix), key=lambda entry: entry.name):
            name = prefix + entry.name
            if _ignored(entry.name):
                continue
            if entry.is_dir():
                yield f"{name}/", ""
                yield from self._below(f"{name}/")
            elif entry.is_file():
                about = entry.stat()
                yield name, f"{about.st_size}:{about.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class Zip:
    """A zip file.

    Raises:
        UsageError: when it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: no zip, or cut short ({error}); copy it again") from error
        self._entries = {str(PurePosixPath(about.filename)): about for about in self._zip.infolist()}

    def names(self) -> Iterator[tuple[str, str]]:
        folders: set[str] = set()
        files = []
        for name, about in self._entries.items():
            path = PurePosixPath(name)
            if any(_ignored(part) for part in path.parts):
                continue
            folders |= {f"{parent}/" for parent in path.parents if parent.name}
            if about.is_dir():
                folders.add(f"{name}/")
            else:
                files.append((name, f"{about.file_size}:{about.CRC}"))
        yield from sorted([*files, *((folder, "") for folder in folders)])

    def read(self, name: str) -> bytes:
        return self._zip.read(self._entries[name])


def _ignored(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def is_image(name: str) -> bool:
    """Return whether a file is an image, by its ending."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def open_source(path: Path) -> Source:
    """Return the images at ``path``: a folder, a zip, or a folder with nothing but one zip in it.

    Raises:
        UsageError: when there is neither.
    """
    if path.is_file():
        return Zip(path)
    if not path.is_dir():
        raise UsageError(f"--data-dir {path}: no such folder, nor a zip")
    visible = [child for child in path.iterdir() if not _ignored(child.name)]
    zips = [child for child in visible if child.suffix.lower() == ".zip"]
    if len(zips) == 1 and not any(child.is_dir() for child in visible):
        return Zip(zips[0])
    return Folder(path)


def is_grey(source: Source, name: str) -> bool:
    """Return whether an image has no colour, by its header: a colour image whose pixels are all grey has.

    Raises:
        UsageError: when it is not a readable image.
    """
    with _opened(source, name) as image:
        return image.mode in _GREY


def pixels(source: Source, name: str, size: int, channels: int) -> Pixels:
    """Return an image as bytes ``(channels, size, size)``.

    It is turned upright as its camera noted, scaled so that its shorter side fits, and cut to a square around its
    middle. Transparency is dropped.

    Raises:
        UsageError: when it is not a readable image.
    """
    with _opened(source, name) as image:
        image.draft("L" if channels == 1 else "RGB", (size, size))  # JPEG: decodes no more detail than is needed
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):  # Pillow would clip at 255
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        plain = upright.convert("L" if channels == 1 else "RGB")
        square = ImageOps.fit(plain, (size, size), Image.Resampling.BILINEAR)
    array = np.asarray(square, np.uint8).reshape(size, size, channels)
    return array.transpose(2, 0, 1)


class _opened:
    """An open image; whatever its reading raises inside becomes one line that names it."""

    def __init__(self, source: Source, name: str) -> None:
        self._where = f"{source.path}: image {name}"
        self._source, self._name = source, name

    def __enter__(self) -> Image.Image:
        try:
            self._image: Image.Image = Image.open(io.BytesIO(self._source.read(self._name)))
        except Exception as error:
            raise self._unreadable(error) from error
        if min(self._image.size) < 2:
            width, height = self._image.size
            raise UsageError(f"{self._where}: {width}x{height} pixels show nothing; each side needs 2; remove it")
        if self._image.mode in _UNSCALED:
            raise UsageError(f"{self._where}: pixels of mode {self._image.mode} have no known white; save 8 or 16 bits")
        return self._image

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._image.close()
        if isinstance(error, Exception) and not isinstance(error, UsageError):  # Pillow raises anything
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UsageError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return UsageError(f"{self._where} can't be read ({reason}); mend or remove it")
