"""Time series in classes, in the ``.ts`` files of the UCR/UEA archive.

A file has lines of comments (``#``), lines of facts (``@classLabel true walk run``), ``@data``, and then a series in
each line: channels separated by ``:``, points by ``,``, and behind the last ``:`` its class. Series may differ in
length; missing points at their end, written ``?`` or ``NaN``, are padding.

Format: that of aeon and sktime, version 1.0. Archive: Bagnall et al., "The UEA multivariate time series classification
archive, 2018", arXiv:1811.00075.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray

from spikefront.plugins.contracts.task import Data, SearchData, Task
from spikefront.plugins.data.files import find_file
from spikefront.plugins.data.scaling import Scaling, scaling_of
from spikefront.plugins.data.splits import stratified
from spikefront.searchspace import UsageError

Array = NDArray[Any]

_SOURCE: Final = "the published one of https://timeseriesclassification.com"
_SHARE: Final = 3
"""One in so many series of a class validates: with fewer, a share of a small set says little."""


@dataclass(frozen=True, slots=True)
class Series:
    """The series of one file.

    Attributes:
        values: of each series its points, ``(points, channels)``, float64.
        labels: class of each, by its place in ``classes``, ``(N,)``.
        classes: names of the classes, in the order of the file.
    """

    values: tuple[Array, ...]
    labels: Array
    classes: tuple[str, ...]

    def padded(self, length: int) -> Array:
        """Return all series with their last point repeated until ``length``, ``(N, length, channels)``.

        So their ranges are those of their points.
        """
        return np.stack([np.pad(one, ((0, length - len(one)), (0, 0)), "edge") for one in self.values])


def read_series(path: Path) -> Series:
    """Read a ``.ts`` file.

    Raises:
        UsageError: when it can't be read, has no classes, times of its own, missing points within a series, channels of
            several lengths, or series of several numbers of channels.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable ({getattr(error, 'strerror', None) or error})") from error
    facts, begun = _facts(lines, path)
    classes = facts.get("classlabel", ())
    if len(classes) < 3 or classes[0].lower() != "true":
        raise UsageError(f"{path}: no @classLabel true with two classes or more; values to predict are not read")
    if " ".join(facts.get("timestamps", ())).lower() not in ("", "false"):
        raise UsageError(
            f"{path}: its points have times of their own (@timeStamps); points that follow evenly are read"
        )
    rows = list(_rows(lines, begun, path))
    if not rows:
        raise UsageError(f"{path}: no series behind @data")
    values: list[Array] = []
    labels: list[int] = []
    for where, row, label in rows:
        if label not in classes[1:]:
            raise UsageError(f"{where}: class {label!r}, which @classLabel does not name")
        if row.shape[1] != rows[0][1].shape[1]:
            raise UsageError(f"{where}: {row.shape[1]} channels, and {rows[0][1].shape[1]} in the first series")
        values.append(row)
        labels.append(classes.index(label) - 1)
    return Series(tuple(values), np.array(labels, np.int64), classes[1:])


def _facts(lines: list[str], path: Path) -> tuple[Mapping[str, tuple[str, ...]], int]:
    """Return the facts of the head, by name in lower case, and the line that follows it.

    Raises:
        UsageError: when there is no ``@data``.
    """
    facts: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines):
        name, *words = line.split() or [""]
        if name.lower() == "@data":
            return facts, number + 1
        if name.startswith("@"):
            facts[name[1:].lower()] = tuple(words)
    raise UsageError(f"{path}: no line @data, so it is no .ts file, or cut short")


def _rows(lines: list[str], begun: int, path: Path) -> Iterator[tuple[str, Array, str]]:
    """Yield of each series where it is, its points ``(points, channels)``, and its class."""
    for number, line in enumerate(lines[begun:], begun + 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        *channels, label = line.strip().split(":")
        try:
            columns = [[float(word.replace("?", "nan")) for word in channel.split(",")] for channel in channels]
        except ValueError as error:
            raise UsageError(f"{where}: {error}; points are numbers separated by ','") from error
        if not columns or len(lengths := set(map(len, columns))) > 1:
            what = f"channels of {min(lengths)} and {max(lengths)} points" if columns else "no ':' before its class"
            raise UsageError(f"{where}: {what}; all channels of a series must have the same points")
        row = np.array(columns).T
        known = np.flatnonzero(~np.isnan(row).all(1))
        row = row[: known[-1] + 1 if len(known) else 0]
        if not len(row) or not np.isfinite(row).all():
            raise UsageError(f"{where}: a point is missing or no finite number; only the end may be missing")
        yield where, row, label.strip()


class SeriesTask(Task):
    """Series in classes, from two files.

    Each channel is scaled to [0, 1] by its range in the series that train, when it is read: an exported network takes
    scaled series. Behind its end a series is 0: no input, for which ``direct`` and ``rate`` charge nothing. Read-outs
    do not leave these steps out.

    Attributes:
        problem: what the archive calls the data set: files are ``<problem>_TRAIN.ts`` and ``<problem>_TEST.ts``.
    """

    inputs = "sequences"
    layout = "sequences"
    problem: ClassVar[str]
    held_out = "one in three of the official training series of each class, at random"

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return [self._found(part, data_dir) for part in ("TRAIN", "TEST")]

    def _found(self, part: str, data_dir: Path | None) -> Path:
        return find_file(f"{self.problem}_{part}.ts", data_dir, (self.problem,), task=self.name, source=_SOURCE)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        series, inputs = self._read("TRAIN", data_dir)
        train, validation = stratified(series.labels, _SHARE)
        scaling = scaling_of(inputs[train], None)
        trains, validates = (_data(series, inputs, part, scaling) for part in (train, validation))
        return SearchData(trains, validates, len(series.classes), series.classes)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        trained, known = self._read("TRAIN", data_dir)
        scaling = scaling_of(known[stratified(trained.labels, _SHARE)[0]], None)
        series, inputs = self._read("TEST", data_dir)
        if series.classes != trained.classes or inputs.shape[2] != known.shape[2]:
            raise UsageError(
                f"task {self.name!r}: {self.problem}_TEST.ts has classes {', '.join(series.classes)} and "
                f"{inputs.shape[2]} channels, and {self.problem}_TRAIN.ts {', '.join(trained.classes)} and "
                f"{known.shape[2]}; take both from one archive"
            )
        return _data(series, inputs, np.arange(len(inputs)), scaling)

    def _read(self, part: str, data_dir: Path | None) -> tuple[Series, Array]:
        """Return the series of ``TRAIN`` or ``TEST``, and all of them in one array ``(N, length, channels)``.

        Raises:
            UsageError: when the file is missing, damaged, or has a longer series than the data set.
        """
        path = self._found(part, data_dir)
        series = read_series(path)
        longest = max(map(len, series.values))
        if longest > self.length:
            raise UsageError(f"{path}: a series of {longest} points; those of {self.problem} have up to {self.length}")
        return series, series.padded(self.length)


def _data(series: Series, inputs: Array, part: Array, scaling: Scaling) -> Data:
    """Return some series scaled, from their padded form ``inputs``, with zeros behind their ends, and their classes."""
    scaled = scaling.scaled(torch.from_numpy(inputs[part]))
    lengths = torch.tensor([len(series.values[number]) for number in part])
    scaled[torch.arange(scaled.shape[1]) >= lengths.unsqueeze(1)] = 0
    return Data(scaled, torch.from_numpy(series.labels[part]))
