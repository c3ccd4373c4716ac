"""Data sets of event recordings: where they lie, and their decoded events in one file.

A data set has parts (``Train``, ``Test``) with a folder for each class and a file for each recording.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from spikefront.plugins.data.cache import fingerprint
from spikefront.plugins.data.events import EVENT
from spikefront.plugins.data.files import refuse_deep
from spikefront.plugins.data.zips import Unreadable, members, open_zip, read_member
from spikefront.searchspace import UsageError

Array = npt.NDArray[Any]

LARGEST: Final = 1 << 26
"""Most bytes of a recording: 13 million events."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: its class, its events of dtype ``EVENT`` ``(E,)``, and what to call it in messages.

    Recordings of one ``group``, such as those of one person, stay in one split; it is empty where there are none.
    """

    label: str
    events: Array
    name: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a data set in the layout ``<part>/<class>/<number>.bin``, in a folder or in a zip.

    Attributes:
        path: the folder ``<part>``, or a zip that holds one, at any depth.
        name: the part.
        share: where a data set comes in one part, which recordings of each class to take: those of ``Train`` or of
            ``Test`` (see ``in_share``); all when empty.
    """

    path: Path
    name: str
    share: str = ""

    def members(self) -> dict[str, list[str]]:
        """Return the recordings of each class, by where they lie below ``path``, without reading them.

        Raises:
            UsageError: when the zip is damaged, there is no class, or a class has no recording.
        """
        found: dict[str, list[str]] = {}
        for where in self._listing():
            pure = PurePosixPath(where)
            label = pure.name if where.endswith("/") else pure.parent.name
            recordings = found.setdefault(label, [])
            if pure.suffix == ".bin":
                recordings.append(where)
        if not found:
            raise UsageError(f"{self.path}: no recordings of the layout {self.name}/<class>/<number>.bin")
        for label, recordings in found.items():
            if not recordings:
                raise UsageError(
                    f"{self.path}: class {label} of {self.name} is empty; remove it, or fetch its recordings"
                )
        shares = {label: in_share(sorted(recordings), self.share) for label, recordings in found.items()}
        return {label: recordings for label, recordings in shares.items() if recordings}

    def _listing(self) -> list[str]:
        """Return the class folders, ending in ``/``, and their recordings."""
        if self.path.is_dir():
            with _reading(self.path):
                folders = [entry for entry in self.path.iterdir() if entry.is_dir()]
                inside = (file for folder in folders for file in folder.glob("[!.]*.bin") if not file.is_dir())
                files = (f"{file.parent.name}/{file.name}" for file in inside)
                return [f"{folder.name}/" for folder in folders] + list(files)
        with _reading(self.path):
            return [name for name in _names(self.path, fingerprint(self.path)) if self._belongs(name)]

    def _belongs(self, name: str) -> bool:
        """Return whether a name within the zip is a class folder or a recording of this part."""
        *above, last = PurePosixPath(name).parts or ("",)
        if name.endswith("/"):
            return above[-1:] == [self.name]
        return above[-2:-1] == [self.name] and last.endswith(".bin") and not last.startswith(".")

    def read(self) -> Iterator[tuple[str, str, bytes | bytearray]]:
        """Yield class, name and content of each recording, in the order of their numbers, so that classes mix.

        Raises:
            UsageError: when one can't be read, or as ``members`` does.
        """
        places = [(label, where) for label, wheres in self.members().items() for where in wheres]
        places.sort(key=lambda place: (PurePosixPath(place[1]).name, place[0]))
        if self.path.is_dir():
            for label, where in places:
                yield label, str(self.path / where), _content(self.path / where)
            return
        with _opened(self.path) as archive:
            entries = members(archive)
            for label, where in places:
                try:
                    content = read_member(archive, entries[where], LARGEST)
                except Unreadable as error:
                    raise UsageError(f"{self.path}: {where} is damaged ({error}); fetch the archive again") from error
                yield label, f"{self.path}: {where}", content

    def fingerprint(self) -> str:
        """Name the state of the files: it changes with any of them."""
        with _reading(self.path):
            files = folder_fingerprint(self.path) if self.path.is_dir() else fingerprint(self.path)
        return f"{files}:{self.name}:{self.share}"


def in_share(recordings: Sequence[str], share: str) -> list[str]:
    """Return the recordings of one class that belong to a share of a data set without an official split.

    As TCJA's code splits them: the first nine in ten, rounded up, are ``Train``, the others ``Test``.
    """
    cut = -(-9 * len(recordings) // 10)
    return list({"": recordings, "Train": recordings[:cut], "Test": recordings[cut:]}[share])


def folder_fingerprint(folder: Path) -> str:
    """Name the state of all files below a folder: how many, their sizes, when the last was changed.

    Raises:
        UsageError: when folders lie too deep in it.
    """
    files, size, changed = 0, 0, 0
    for above, _, names in os.walk(folder):
        refuse_deep(folder, len(Path(above).parts) - len(folder.parts))
        for name in names:
            about = os.stat(os.path.join(above, name))
            files, size, changed = files + 1, size + about.st_size, max(changed, about.st_mtime_ns)
    return f"{folder.resolve()}:{files}:{size}:{changed}"


def find_part(name: str, data_dir: Path, folders: Sequence[str]) -> Part | None:
    """Look for a part in a folder and its subfolders ``folders``.

    It may be a folder, a zip of its own, which goes before others, or lie in a zip with other parts, which may stand
    in the place of the folder.
    """
    if os.path.isfile(data_dir):
        return Part(data_dir, name) if Part(data_dir, name)._listing() else None
    for folder in (data_dir, *(data_dir / inner for inner in folders)):
        if os.path.isdir(folder / name):
            return Part(folder / name, name)
        zips = sorted(folder.glob("*.zip"), key=lambda path: (path.stem.lower() != name.lower(), path.name))
        for path in zips:
            if Part(path, name)._listing():
                return Part(path, name)
    return None


@lru_cache(maxsize=8)
def _names(path: Path, state: str) -> tuple[str, ...]:
    """List a zip, once for each ``state`` of the file: a long listing takes longer than mapping what was cached."""
    with _opened(path) as archive:
        return tuple(members(archive))


def _opened(path: Path) -> ZipFile:
    try:
        return open_zip(path)
    except Unreadable as error:
        raise UsageError(f"{path}: no zip archive, or cut short ({error}); fetch it again") from error


def _content(path: Path) -> bytes:
    with _reading(path):
        if not path.is_file():
            path.stat()
            raise UsageError(f"{path}: not a file; remove it")
        size = path.stat().st_size
        if size > LARGEST:
            raise UsageError(f"{path}: {size:,} bytes, and a recording may have {LARGEST:,}; cut or remove it")
        return path.read_bytes()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into a message of one line, which is not taken for a failure of the cache."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Recordings:
    """The decoded recordings of one part, one behind the other.

    Attributes:
        events: all events, of dtype ``EVENT``, mapped from a file.
        ends: where each recording ends among them, ``(N,)``.
        labels: class of each, by its place in ``classes``, ``(N,)``.
        classes: names of the classes, sorted.
        groups: the group of each, see ``Recording``.
    """

    events: Array
    ends: Array
    labels: Array
    classes: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> Array:
        """Return the events of one recording."""
        begin = 0 if number == 0 else self.ends[number - 1]
        return self.events[begin : self.ends[number]]

    @classmethod
    def load(cls, folder: Path) -> Recordings:
        """Map what ``write`` left in a folder."""
        events = np.memmap(folder / "events.bin", EVENT, mode="r")
        with np.load(folder / "about.npz") as about:
            names = (tuple(about[name].tolist()) for name in ("classes", "groups"))
            return cls(events, about["ends"], about["labels"], *names)


def write(recordings: Iterable[Recording], folder: Path) -> None:
    """Write recordings into a folder, one at a time, for ``Recordings.load``."""
    labels: list[str] = []
    groups: list[str] = []
    ends: list[int] = [0]
    with (folder / "events.bin").open("wb") as file:
        for recording in recordings:
            file.write(np.ascontiguousarray(recording.events).data)
            labels.append(recording.label)
            groups.append(recording.group)
            ends.append(ends[-1] + len(recording.events))
    classes = sorted(set(labels))
    places = [classes.index(label) for label in labels]
    np.savez(
        folder / "about.npz",
        ends=np.array(ends[1:]),
        labels=np.array(places),
        classes=np.array(classes),
        groups=np.array(groups, np.str_),
    )


def as_trained(recordings: Recordings, classes: Sequence[str], path: Path | str) -> Recordings:
    """Number the classes of a test part as the training part does.

    Raises:
        UsageError: for a class that no training recording has.
    """
    unknown = sorted(set(recordings.classes) - set(classes))
    if unknown:
        raise UsageError(
            f"{path}: class {unknown[0]} is tested but has no training recording; remove it, or train on it"
        )
    numbers = np.array([classes.index(name) for name in recordings.classes])
    return replace(recordings, labels=numbers[recordings.labels], classes=tuple(classes))
