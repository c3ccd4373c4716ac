"""Folders of images, or zips of them: what is there, and how an image becomes pixels of one size."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from spikefront.plugins.data.files import refuse_deep
from spikefront.plugins.data.zips import Unreadable, members, open_member, open_zip
from spikefront.searchspace import UsageError

SUFFIXES: Final = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings of the files that count as images, in lower case."""

MOST_PIXELS: Final = 100_000_000
"""Most pixels of an image: 400 MB of memory while it is scaled."""

_MOST_BYTES: Final = 1 << 29
_LARGE: Final = 1 << 24  # pixels from which images are scaled one at a time, not one on each core
_one_large = threading.Lock()

_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no others: some start programs
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF

_GREY: Final = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
_UNSCALED: Final = frozenset({"I", "F"})  # numbers whose white is not known, except of PGM, which Pillow scales

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

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            OSError: when it can't be opened.
            Unreadable: when it is damaged, or has more than 512 MiB.
        """
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the file system, links followed."""

    path: Path

    def names(self) -> Iterator[tuple[str, str]]:
        yield from self._below("")

    def _below(self, prefix: str) -> Iterator[tuple[str, str]]:
        refuse_deep(self.path, prefix.count("/"))
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

    def open(self, name: str) -> BinaryIO:
        file = (self.path / name).open("rb")
        size = os.stat(file.fileno()).st_size
        if size > _MOST_BYTES:
            file.close()
            raise Unreadable(f"it has {size:,} bytes, and may have {_MOST_BYTES:,}")
        return file


class Zip:
    """A zip file.

    Raises:
        UsageError: when it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = open_zip(path)
        except Unreadable as error:
            raise UsageError(f"{path}: no zip, or cut short ({error}); copy it again") from error
        self._entries = {}
        self._folders: set[str] = set()
        for written, about in members(self._zip).items():
            inside = PurePosixPath(written.lstrip("/"))
            if not inside.name or any(_ignored(part) for part in inside.parts):
                continue
            refuse_deep(path, len(inside.parts))
            self._folders |= {f"{parent}/" for parent in inside.parents if parent.name}
            if written.endswith("/"):
                self._folders.add(f"{inside}/")
            else:
                self._entries[str(inside)] = about

    def names(self) -> Iterator[tuple[str, str]]:
        files = ((name, f"{about.file_size}:{about.CRC}") for name, about in self._entries.items())
        yield from sorted([*files, *((folder, "") for folder in self._folders)])

    def open(self, name: str) -> BinaryIO:
        return open_member(self._zip, self._entries[name], _MOST_BYTES)


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
    if os.path.isfile(path):
        return Zip(path)
    if not os.path.isdir(path):
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
    middle. What is transparent shows white. Of 16 bits the upper eight are kept, of 12 likewise.

    Raises:
        UsageError: when it is not a readable image, or has more than ``MOST_PIXELS``.
    """
    with _opened(source, name) as image:
        image.draft("L" if channels == 1 else "RGB", (size, size))  # JPEG: decodes no more detail than is needed
        ImageOps.exif_transpose(image, in_place=True)
        square = ImageOps.fit(_eight_bits(image), (size, size), Image.Resampling.BILINEAR)
        if square.mode == "I":
            square = Image.fromarray((np.asarray(square) >> 8).clip(0, 255).astype(np.uint8))
        if square.has_transparency_data:  # Pillow scales such images by their opacity
            square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square.convert("RGBA"))
        square = square.convert("L" if channels == 1 else "RGB")
    array = np.asarray(square, np.uint8).reshape(size, size, channels)
    return array.transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image in a mode that can be scaled: with eight bits or, of a PGM, with its 16 in mode I."""
    if image.mode.startswith("I;16"):  # Pillow would clip at 255
        tags = getattr(image, "tag_v2", {})
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
        whole = np.asarray(image)
        upper = (whole >> (bits - 8)).astype(np.uint8)
        grey = Image.fromarray(~upper if tags.get(_PHOTOMETRIC, 1) == 0 else upper)  # 0: the least is white
        clear = image.info.get("transparency")
        return grey if clear is None else Image.merge("LA", (grey, Image.fromarray((whole != clear) * np.uint8(255))))
    if image.mode in ("I", "L", "RGB") and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA") if image.mode not in ("LA", "RGBA") else image
    return image.convert("L" if image.mode == "1" else "RGB")


@contextmanager
def of_any_size() -> Iterator[None]:
    """Silence Pillow's warnings of large images, in all threads: ``MOST_PIXELS`` is the limit here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class _opened:
    """An open image; whatever its reading raises inside becomes one line that names it."""

    def __init__(self, source: Source, name: str) -> None:
        self._where = f"{source.path}: image {name}"
        self._source, self._name = source, name
        self._locked = False

    def __enter__(self) -> Image.Image:
        self._file: BinaryIO | None = None
        try:
            self._file = self._source.open(self._name)
            self._image: Image.Image = Image.open(self._file, formats=_FORMATS)
            self._check()
        except Exception as error:
            if self._file is not None:
                self._file.close()
            if isinstance(error, UsageError):
                raise
            raise self._unreadable(error) from error
        if self._image.width * self._image.height > _LARGE:
            self._locked = _one_large.acquire()
        return self._image

    def _check(self) -> None:
        width, height = self._image.size
        if min(width, height) < 2:
            raise UsageError(f"{self._where}: {width}x{height} pixels show nothing; each side needs 2; remove it")
        if width * height > MOST_PIXELS:
            raise UsageError(f"{self._where}: {width}x{height} pixels, and {_TOO_MANY}")
        if self._image.mode in _UNSCALED and (self._image.mode, self._image.format) != ("I", "PPM"):
            raise UsageError(f"{self._where}: pixels of mode {self._image.mode} have no known white; save 8 or 16 bits")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._image.close()
        if self._file is not None:
            self._file.close()
        if self._locked:
            _one_large.release()
        if isinstance(error, Exception) and not isinstance(error, UsageError):  # Pillow raises anything
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UsageError:
        if isinstance(error, Image.DecompressionBombError):
            return UsageError(f"{self._where}: far more than {MOST_PIXELS:,} pixels, and {_TOO_MANY}")
        text = "cannot identify image file" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = " ".join(re.sub(r" ?<[\w.]+ object at 0x\w+>", "", text).split()) or type(error).__name__
        return UsageError(f"{self._where} can't be read ({reason}); mend or remove it")


_TOO_MANY: Final = f"an image may have {MOST_PIXELS:,}; scale it down, or remove it"
