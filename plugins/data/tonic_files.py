"""Recordings that the library tonic reads, or downloads where the user gives no folder. An optional dependency."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pooch

from spikefront.plugins.data.cache import cached
from spikefront.plugins.data.event_tasks import FORMAT, EventTask, PooledConfig
from spikefront.plugins.data.events import EVENT, LATEST, in_order, refuse_outside, too_long
from spikefront.plugins.data.recordings import Recording, Recordings, as_trained, folder_fingerprint, in_share, write
from spikefront.searchspace import UsageError, Value

Array = npt.NDArray[Any]


class TonicTask(EventTask):
    """Recordings read through tonic.

    Attributes:
        dataset: the class of ``tonic.datasets``, which is also the name of the folder that it unpacks into.
    """

    Config = PooledConfig
    config: PooledConfig
    dataset: ClassVar[str]

    def options(self, part: str) -> dict[str, Any]:
        """Return the arguments that choose an official part, ``Train`` or ``Test``; none where there is no split."""
        return {}

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        _tonic(self.name)
        if data_dir is not None and not os.path.isdir(data_dir / self.dataset):
            raise self._missing(data_dir)
        return (Path(data_dir or pooch.os_cache("spikefront")) / self.dataset,)

    def _missing(self, data_dir: Path) -> UsageError:
        return UsageError(f"--data-dir {data_dir}: no folder {self.dataset} there, as tonic unpacks it")

    def recordings(self, part: str, data_dir: Path | None) -> tuple[Recordings, str]:
        opened = self._opened(part, data_dir)
        source = f"{folder_fingerprint(Path(opened.location_on_system))}:{part}"
        key: dict[str, Value] = {"format": FORMAT, "source": source}
        folder = cached(f"{self.name}-events", key, lambda to: write(self._read(opened, part), to))
        recordings = Recordings.load(folder)
        if part == "Test":
            trained = self._opened("Train", data_dir) if self.options("Train") else opened
            recordings = as_trained(recordings, sorted(set(map(str, trained.targets))), opened.location_on_system)
        return recordings, source

    def _opened(self, part: str, data_dir: Path | None) -> Any:
        """Return tonic's data set.

        Raises:
            UsageError: when tonic is not installed, the files are not in ``data_dir``, or can't be downloaded.
        """
        kind = getattr(_tonic(self.name).datasets, self.dataset)
        if data_dir is not None:
            if not os.path.isdir(data_dir / self.dataset):
                raise self._missing(data_dir)
            # an excerpt is read as it is, and nothing is ever downloaded into a folder of the user's
            kind = type(self.dataset, (kind,), {"_check_exists": lambda self: True})
        try:
            opened = kind(save_to=str(data_dir or pooch.os_cache("spikefront")), **self.options(part))
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(f"task {self.name!r}: no data ({reason}); give --data-dir its folder") from error
        if not opened.data:
            raise UsageError(f"{opened.location_on_system}: no recordings of {self.dataset} ({part})")
        return opened

    def _read(self, opened: Any, part: str) -> Iterator[Recording]:
        for number in self._numbers(opened, part):
            name = str(opened.data[number])
            try:
                raw, label = opened[number]
                events = _events(raw, name)
            except UsageError:
                raise
            except Exception as error:  # a damaged file makes tonic's readers raise anything
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise UsageError(f"{name}: not readable ({reason})") from error
            refuse_outside(events, self.size, name)
            yield Recording(str(label), events, name, self.group(name))

    def _numbers(self, opened: Any, part: str) -> Sequence[int]:
        """Return which recordings belong to a part, in the order of their names, not in that of the file system."""
        order = sorted(range(len(opened.data)), key=lambda number: str(opened.data[number]))
        if self.options(part):
            return order
        by_class: dict[str, list[str]] = {}
        for number in order:
            by_class.setdefault(str(opened.targets[number]), []).append(str(opened.data[number]))
        kept = {name for names in by_class.values() for name in in_share(names, part)}
        return [number for number in order if str(opened.data[number]) in kept]


def _tonic(task: str) -> Any:
    try:
        return import_module("tonic")
    except ImportError as error:
        raise UsageError(
            f"task {task!r} reads its files with tonic ({error}); install it: pip install 'spikefront[events]'"
        ) from error


def _events(raw: Array, name: str) -> Array:
    """Turn tonic's events into ours, from the first one's time on and in the order of their times."""
    if not len(raw):
        raise UsageError(f"{name}: no event in it")
    t = raw["t"] - raw["t"].min()
    if not np.all((t >= 0) & (t <= LATEST)):  # NaN too
        raise too_long(name)
    events = np.empty(len(raw), EVENT)
    events["t"], events["polarity"] = t, raw["p"] > 0
    for axis in ("x", "y"):
        whole = (raw[axis] >= 0) & (raw[axis] < 1 << 16)
        events[axis] = np.where(whole, raw[axis], (1 << 16) - 1)  # outside of any sensor
    return in_order(events)
