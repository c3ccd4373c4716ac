"""Spoken words as spikes of a cochlea, in the HDF5 files of the Heidelberg data sets. h5py is an optional dependency.

A file has ``spikes/times`` (seconds) and ``spikes/units``, an array of any length for each recording, ``labels``, and
in ``extra`` ``speaker`` and ``keys``, the names of the classes. Spikes are counted once in equal times, in the node's
cache, and all trials map the same files.

Reference: Cramer, Stradmann, Schemmel & Zenke, "The Heidelberg spiking data sets for the systematic evaluation of
spiking neural networks", IEEE TNNLS 33 (2022). Times as in the code of Bittar & Garner, Frontiers in Neuroscience 16
(2022): 99 of 14.14 ms each, and all that is later. There the first of 100 steps is always empty; here spikes come a
step earlier.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray

from spikefront.plugins.contracts.task import Data, SearchData, Task
from spikefront.plugins.data.cache import cached, fingerprint, mapped, new_array
from spikefront.plugins.data.files import find_file
from spikefront.plugins.data.splits import by_group
from spikefront.searchspace import PINNED, Choice, UsageError, Value

Array = NDArray[Any]

UNITS: Final = 700
"""Channels of the cochlea."""

TIMES: Final = 100
"""Equal times in which spikes are counted, the last one open."""

SPAN_S: Final = 1.4
"""Seconds until the last of them."""

_SOURCE: Final = "the published one, unpacked, of https://zenkelab.org/datasets"
_FORMAT: Final = 1
_SHARE: Final = 6
_SEED: Final = 0
_MOST: Final = 255
_MOST_RECORDINGS: Final = 1 << 24
"""More than any file has: a damaged one may claim to have as many as no memory holds."""


def counted(times: Array, units: Array, pool: int = 1) -> Array:
    """Count the spikes of one recording.

    Args:
        times: seconds, ``(E,)``, floats of at least 0, in any order.
        units: numbers of units from 0 to 699, ``(E,)``.
        pool: how many neighbouring units count as one, a divisor of 700.

    Returns:
        Numbers of spikes, ``(100, 700 / pool)``, uint8: time i has those from ``1.4 i / 99`` s on. More than 255 are
        255.

    Example:
        >>> counted(np.array([0.0, 0.02, 3.0]), np.array([4, 4, 699]), pool=5).nonzero()
        (array([ 0,  1, 99]), array([  0,   0, 139]))
    """
    edges, width = np.linspace(0, SPAN_S, TIMES), UNITS // pool
    places = np.digitize(times.astype(np.float64), edges) - 1  # float16, as published, is no match for the edges
    counts = np.bincount(places * width + units.astype(np.int64) // pool, minlength=TIMES * width)
    return np.minimum(counts, _MOST).astype(np.uint8).reshape(TIMES, width)


class SpikeFile:
    """An open file of recordings.

    Args:
        path: where it lies.
        task: name of the task, for messages.
        classes: how many there are.

    Attributes:
        labels: class of each recording, ``(N,)``.
        names: names of the classes, by number; empty where the file has none.

    Raises:
        UsageError: when h5py is missing, or the file is damaged or of another layout.
    """

    def __init__(self, path: Path, task: str, classes: int) -> None:
        self.path = path
        try:
            h5py: Any = import_module("h5py")
        except ImportError as error:
            raise UsageError(
                f"task {task!r} reads {path} with h5py ({error}); install it: pip install 'spikefront[sequences]'"
            ) from error
        with self._reading("no HDF5 file of spikes/times, spikes/units and labels"):
            self._file = h5py.File(path, "r")
            self._times, self._units = self._file["spikes/times"], self._file["spikes/units"]
            labels = self._file["labels"]
            shapes = [part.shape for part in (labels, self._times, self._units)]
        alike = len({shape[:1] for shape in shapes}) == 1
        if not alike or len(shapes[0]) != 1 or not 0 < shapes[0][0] <= _MOST_RECORDINGS:
            raise UsageError(
                f"{path}: labels, spikes/times and spikes/units are of shapes {', '.join(map(str, shapes))}; there "
                "must be one of each for a recording"
            )
        with self._reading("labels that can't be read"):
            self.labels: Array = labels[:].astype(np.int64)
        if self.labels.min() < 0 or self.labels.max() >= classes:
            wrong = int(np.flatnonzero((self.labels < 0) | (self.labels >= classes))[0])
            raise UsageError(f"{path}: recording {wrong} is of class {self.labels[wrong]}; there are {classes}, from 0")
        with self._reading("names of classes that are no text"):
            keys = self._file.get("extra/keys")
            named = keys is not None and keys.shape == (classes,)
            found = keys[:].tolist() if named else []
            self.names = tuple(key.decode() if isinstance(key, bytes) else str(key) for key in found)

    def __len__(self) -> int:
        return len(self.labels)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def speakers(self) -> list[str]:
        """Return who speaks each recording, as text that sorts as the numbers do.

        Raises:
            UsageError: when the file does not say so.
        """
        with self._reading("no extra/speaker for each recording, by which validation is held out"):
            speakers = self._file["extra/speaker"]
            if speakers.shape != (len(self),):
                raise ValueError(f"it is of shape {speakers.shape}, for {len(self)} recordings")
            return [f"{number:06}" for number in speakers[:].astype(np.int64).tolist()]

    def counts(self, number: int, pool: int) -> Array:
        """Return the counts of one recording, see ``counted``.

        Raises:
            UsageError: for spikes that are damaged or outside of the cochlea, or of times below 0.
        """
        with self._reading(f"recording {number} is damaged"):
            times, units = self._times[number], self._units[number]
        if times.shape != units.shape:
            raise UsageError(f"{self.path}: recording {number} has {times.size} times and {units.size} units")
        if not np.all((times >= 0) & (times < np.inf)):  # NaN too
            raise UsageError(f"{self.path}: recording {number} has a spike at no time from 0 s on")
        if not np.all((units >= 0) & (units < UNITS)):
            raise UsageError(f"{self.path}: recording {number} has a spike of a unit beyond 0 to {UNITS - 1}")
        return counted(times, units, pool)

    @contextmanager
    def _reading(self, otherwise: str) -> Iterator[None]:
        """Turn what h5py says of the file into a message of one line, which is not taken for a failure of the cache."""
        try:
            yield
        except Exception as error:  # a damaged file makes it raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UsageError(f"{self.path}: {otherwise} ({reason})") from error


@dataclass(frozen=True, slots=True)
class SpikesConfig:
    """How recordings become counts."""

    pool: Annotated[int, Choice((1, 2, 5, 10)), PINNED] = 1
    """Neighbouring units that count as one: 5 leave 140 of the 700."""


class SpikeTask(Task):
    """Spoken words in classes, as numbers of spikes of a cochlea in equal times.

    Attributes:
        words: number of classes.
        validates: file that validates; where there is none, the last one in six speakers who train.
    """

    inputs = "spikes"
    layout = "sequences"
    length = TIMES
    mapped = True
    Config = SpikesConfig
    config: SpikesConfig
    words: ClassVar[int]
    validates: ClassVar[str] = ""

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        names = [f"{self.name}_train.h5", *filter(None, [self.validates]), f"{self.name}_test.h5"]
        return [self._found(name, data_dir) for name in names]

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        files = {"train": self._found(f"{self.name}_train.h5", data_dir)}
        if self.validates:
            files["validation"] = self._found(self.validates, data_dir)
        folder = self._cached(files, ("train", "validation"))
        train, validation = (_read(folder, part) for part in ("train", "validation"))
        classes = tuple(json.loads((folder / "classes.json").read_text(encoding="utf-8")))
        return SearchData(train, validation, self.words, classes)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return _read(self._cached({"test": self._found(f"{self.name}_test.h5", data_dir)}, ("test",)), "test")

    def _found(self, name: str, data_dir: Path | None) -> Path:
        return find_file(name, data_dir, (self.name, self.name.upper()), task=self.name, source=_SOURCE)

    def _cached(self, files: dict[str, Path], parts: tuple[str, ...]) -> Path:
        """Return the folder with the counts of some parts, made where it is not there."""

        def make(folder: Path) -> None:
            opened = {part: SpikeFile(path, self.name, self.words) for part, path in files.items()}
            try:
                for part, (file, numbers) in self._split(opened, parts).items():
                    self._write(file, numbers, folder, part)
            finally:
                for file in opened.values():
                    file.close()

        sources = ",".join(fingerprint(path) for path in files.values())
        key: dict[str, Value] = {"format": _FORMAT, "source": sources, "parts": ",".join(parts), **asdict(self.config)}
        return cached(f"{self.name}-counts", key, make)

    def _split(self, opened: dict[str, SpikeFile], parts: tuple[str, ...]) -> dict[str, tuple[SpikeFile, Array]]:
        """Return from which file a part is read, and the numbers of its recordings.

        Raises:
            UsageError: when all that train are of one speaker, and others must validate.
        """
        if set(parts) == set(opened):
            draws = np.random.default_rng(_SEED)  # any part of a split has all classes
            return {part: (file, draws.permutation(len(file))) for part, file in opened.items()}
        file = opened["train"]
        speakers = file.speakers()
        if len(set(speakers)) < 2:
            raise UsageError(
                f"{file.path}: all recordings are of speaker {int(speakers[0])}, and others must validate; add some"
            )
        return {part: (file, numbers) for part, numbers in zip(parts, by_group(speakers, _SHARE), strict=True)}

    def _write(self, file: SpikeFile, numbers: Array, folder: Path, part: str) -> None:
        pool = self.config.pool
        array = new_array(folder / f"{part}-inputs.npy", (len(numbers), TIMES, UNITS // pool), "u1")
        for place, number in enumerate(numbers.tolist()):
            array[place] = file.counts(number, pool)
        array.flush()
        np.save(folder / f"{part}-targets.npy", file.labels[numbers])
        (folder / "classes.json").write_text(json.dumps(file.names), encoding="utf-8")


def _read(folder: Path, part: str) -> Data:
    targets = np.load(folder / f"{part}-targets.npy")
    return Data(mapped(folder / f"{part}-inputs.npy"), torch.from_numpy(targets))
