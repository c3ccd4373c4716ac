"""Tasks that learn from the frames of event recordings.

Events are decoded once and kept in the node's cache; frames are made from them once for each T and way of binning. All
trials on the node map the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch

from spikefront.plugins.contracts.task import Data, SearchData, Task
from spikefront.plugins.data.cache import cached, mapped, new_array
from spikefront.plugins.data.events import BINNINGS, pooled_size, read_40_bit, refuse_outside, to_frames
from spikefront.plugins.data.recordings import Part, Recording, Recordings, as_trained, write
from spikefront.plugins.data.splits import by_group, stratified
from spikefront.searchspace import PINNED, Choice, Int, UsageError, Value

Array = npt.NDArray[Any]

VALIDATION_SHARE: Final = 6
"""One in so many recordings of a class validates; a class of two to five gives one, a class of one gives none.

Of recordings in groups, such as those of one person, one in so many groups validates."""

FORMAT: Final = 3
"""Version of the cached files: raise it when what is written changes."""


@dataclass(frozen=True, slots=True)
class FramesConfig:
    """How recordings become frames."""

    binning: Annotated[str, Choice(BINNINGS), PINNED] = "count"
    """Frames of equal duration (time), or of equally many events (count)."""


@dataclass(frozen=True, slots=True)
class PooledConfig(FramesConfig):
    """How recordings of a large sensor become frames."""

    pool: Annotated[int, Int(1, 8), PINNED] = 2
    """Squares of so many pixels a side count as one pixel."""


class EventTask(Task):
    """Recordings in classes, as frames of event counts. What a kind of data set must define is ``recordings``.

    Attributes:
        size: rows and columns of the sensor.
    """

    inputs = "events"
    mapped = True
    Config = FramesConfig
    size: ClassVar[tuple[int, int]]

    def recordings(self, part: str, data_dir: Path | None) -> tuple[Recordings, str]:
        """Return the recordings of ``Train`` or ``Test``, and a fingerprint of where they came from."""
        raise TypeError(f"{type(self).__name__} must define recordings(part, data_dir)")

    def group(self, name: str) -> str:
        """Return the group of a recording by the path of its file: those of one, such as a person, stay in one split.

        Raises:
            UsageError: when the path has none although all of the data set have one.
        """
        return ""

    def sampled(self, recordings: Recordings, numbers: Array, steps: int, inputs: Path) -> Array:
        """Write the inputs ``(N, T, 2, H, W)`` of some recordings, uint8, and return their targets ``(N, ...)``."""
        pool = getattr(self.config, "pool", 1)  # only large sensors' frames are pooled
        frames = new_array(inputs, (len(numbers), steps, 2, *pooled_size(self.size, pool)), "u1")
        for place, number in enumerate(numbers):
            frames[place] = to_frames(
                recordings[number], self.size, steps=steps, binning=self.config.binning, pool=pool
            )
        labels: Array = recordings.labels[numbers]
        return labels

    def outputs(self, recordings: Recordings) -> int:
        """Return how many outputs the targets need.

        Raises:
            UsageError: when all recordings are of one class.
        """
        if len(recordings.classes) < 2:
            raise UsageError(
                f"task {self.name!r}: all recordings are of class {recordings.classes[0]}; classification needs 2 or "
                "more classes, a folder each"
            )
        return len(recordings.classes)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        recordings, source = self.recordings("Train", data_dir)
        train, validation = self._split(recordings)
        outputs = self.outputs(recordings)
        splits = {"train": train, "validation": validation}
        data = self._cached(recordings, splits, steps, source)
        named = outputs == len(recordings.classes) and not data["train"].targets.is_floating_point()
        return SearchData(data["train"], data["validation"], outputs, recordings.classes if named else ())

    def _split(self, recordings: Recordings) -> tuple[Array, Array]:
        """Return the numbers of the recordings that train, and of those that validate."""
        groups = set(recordings.groups)
        if len(groups) > 1:
            return by_group(recordings.groups, VALIDATION_SHARE)
        if any(groups):
            raise UsageError(
                f"task {self.name!r}: all training recordings are of {recordings.groups[0]}, and others must validate; "
                "add some"
            )
        train, validation = stratified(recordings.labels, VALIDATION_SHARE)
        if not len(validation):
            raise UsageError(f"task {self.name!r}: no class has two recordings, of which one could validate; add some")
        return train, validation

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        recordings, source = self.recordings("Test", data_dir)
        return self._cached(recordings, {"test": np.arange(len(recordings))}, steps, source)["test"]

    def _cached(self, recordings: Recordings, splits: dict[str, Array], steps: int, source: str) -> dict[str, Data]:
        def make(folder: Path) -> None:
            for name, numbers in splits.items():
                targets = self.sampled(recordings, numbers, steps, folder / f"{name}-inputs.npy")
                np.save(folder / f"{name}-targets.npy", targets)

        about: dict[str, Value] = {"format": FORMAT, "source": source, "classes": ",".join(recordings.classes)}
        key = {**about, "steps": steps, "parts": ",".join(splits), **asdict(self.config)}
        folder = cached(f"{self.name}-frames", key, make)
        return {
            name: Data(mapped(folder / f"{name}-inputs.npy"), torch.from_numpy(np.load(folder / f"{name}-targets.npy")))
            for name in splits
        }


class BinTask(EventTask):
    """Recordings in the 40-bit format and the layout ``<part>/<class>/<number>.bin``.

    Attributes:
        source: what the data set is called in the cache; tasks on the same one share its decoded events.
    """

    source: ClassVar[str]

    def part(self, name: str, data_dir: Path | None) -> Part:
        """Return where a part lies.

        Raises:
            UsageError: when it is nowhere, with what was looked for.
        """
        raise TypeError(f"{type(self).__name__} must define part(name, data_dir)")

    def files(self, data_dir: Path | None) -> Sequence[Path] | None:
        return [self.locate(part, data_dir) for part in ("Train", "Test")]

    def locate(self, part: str, data_dir: Path | None) -> Path:
        """Return where a part lies, or will when it is downloaded, which this does not do.

        Raises:
            UsageError: as ``part`` does.
        """
        return self.part(part, data_dir).path

    def recordings(self, part: str, data_dir: Path | None) -> tuple[Recordings, str]:
        found = self.part(part, data_dir)
        source = found.fingerprint()
        key: dict[str, Value] = {"format": FORMAT, "source": source}
        folder = cached(f"{self.source}-events", key, lambda to: write(self._read(found), to))
        recordings = Recordings.load(folder)
        if part == "Test":
            recordings = as_trained(recordings, sorted(self.part("Train", data_dir).members()), found.path)
        return recordings, source

    def _read(self, part: Part) -> Iterator[Recording]:
        for label, name, raw in part.read():
            events = read_40_bit(raw, name)
            refuse_outside(events, self.size, name)
            yield Recording(label, events, name, self.group(name))
