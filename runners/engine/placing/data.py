"""Training data of the workers, once per node and T, in Ray's object store."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from spikefront.plugins import Data, Registry, SearchData, Task, load_registry
from spikefront.plugins.data.digest import digest_of
from spikefront.runners.judging.confirm import confirmation_data
from spikefront.searchspace import Candidate, fields_of, from_flat
from spikefront.searchspace.trial import DataSplit

_HASHED: Final = 256 * 1024**2  # bytes
_SAMPLED: Final = 1000

Array = npt.NDArray[Any]
Key = tuple[str, int]
Purpose = Literal["search", "confirm", "alone"]
"""What splits are for: a search; confirming, with the test split as validation; confirming after a training on the
training split alone."""


@dataclass(frozen=True)
class Splits:
    """Training and validation split of a task, as arrays, for one T and one configuration of the task.

    Attributes:
        train: inputs and targets.
        validation: inputs and targets.
        outputs: number of network outputs.
        classes: names of the classes; may be empty.
    """

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    outputs: int
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: SearchData) -> Splits:
        """Return the splits without a copy."""
        return cls(_arrays(data.train), _arrays(data.validation), data.outputs, data.classes)

    @cached_property
    def tensors(self) -> SearchData:
        """The splits as tensors on the same memory; the same ones each time, so that they are hashed once."""
        train, validation = (Data(*map(_tensor, arrays)) for arrays in (self.train, self.validation))
        return SearchData(train, validation, self.outputs, self.classes)


class SplitsReader:
    """Actor that reads a task's splits for each T and configuration that is asked for, each once.

    A search reads the default's data before it starts; these are the data of its other candidates. They go to the nodes
    through Ray's object store, as the default's do, so a node has each of them once.

    Args:
        plugins_dir: folders with loose plugin files.
        data_dir: folder with the user's data.
        purpose: what the splits are for.
    """

    def __init__(self, plugins_dir: tuple[Path, ...], data_dir: Path | None, purpose: Purpose) -> None:
        torch.set_num_threads(1)
        self._plugins_dir = plugins_dir
        self._registry: Registry | None = None
        self._data_dir = data_dir
        self._purpose = purpose
        self._read: dict[Key, ray.ObjectRef[Any]] = {}

    def splits(self, flat: Mapping[str, Any]) -> list[ray.ObjectRef[Any]]:
        """Return a reference, in a list so that Ray does not resolve it, to the ``Splits`` of a candidate."""
        if self._registry is None:  # not in __init__, whose failure would be that of an actor, and not the plugin's
            self._registry = load_registry(self._plugins_dir)
        candidate = from_flat(flat, self._registry)
        task = self._registry.task(candidate)
        key = _key(task, candidate.steps)
        if key not in self._read:
            data = read_splits(task, self._data_dir, candidate.steps, self._purpose)
            self._read[key] = ray.put(Splits.of(data))
        return [self._read[key]]


@dataclass(frozen=True, slots=True)
class SharedData:
    """Splits of a task in Ray's object store, which the processes of a node read without copying.

    For a task whose data are mapped from the node's cache, it has only the folder to read.

    Attributes:
        splits: the splits that the driver has read; None for a task that is mapped.
        key: the configuration of the task, and of events the T, that ``splits`` are for.
        data_dir: folder with the user's data.
        purpose: what the splits are for.
        reader: ``SplitsReader`` of the candidates that need others; None where no candidate can, and outside of Ray.
    """

    splits: Splits | None
    key: Key
    data_dir: Path | None
    purpose: Purpose
    reader: Any = None

    @classmethod
    def of(
        cls,
        data: SearchData,
        task: Task | type[Task],
        data_dir: Path | None = None,
        *,
        purpose: Purpose = "search",
        reader: Any = None,
    ) -> SharedData:
        """Wrap the splits of a task; of a class, those of its default configuration."""
        task = task() if isinstance(task, type) else task
        if task.mapped:  # workers have other working directories
            return cls(None, _key(task, 0), data_dir and data_dir.resolve(), purpose)
        key = _key(task, data.train.inputs.shape[1] if task.inputs == "events" else 0)
        return cls(Splits.of(data), key, data_dir, purpose, reader)

    def data_for(self, candidate: Candidate, registry: Registry) -> SearchData:
        """Return the splits for a candidate, as tensors on shared memory.

        Frames of events are those of its own T, and all data those of its own configuration of the task.
        """
        task = registry.task(candidate)
        if self.splits is not None and self.key == _key(task, candidate.steps):
            return self.splits.tensors
        if self.reader is None:
            return read_splits(task, self.data_dir, candidate.steps, self.purpose)
        try:
            (reference,) = ray.get(self.reader.splits.remote(candidate.flat()))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        splits: Splits = ray.get(reference)
        return splits.tensors


def describe_splits(data: SearchData) -> tuple[DataSplit, ...]:
    """Return what the splits of a search are, by their content.

    Of splits with more than 256 MB the content is that of 1,000 samples, evenly spaced, which all have the same digest.
    """
    return tuple(
        DataSplit(name, _digest(split), tuple(split.inputs.shape), str(split.inputs.dtype).removeprefix("torch."))
        for name, split in (("training", data.train), ("validation", data.validation))
    )


def _digest(split: Data) -> str:
    whole = hashlib.sha256()
    for tensor in (split.inputs, split.targets):
        many = tensor.numel() * tensor.element_size() > _HASHED and len(tensor) > _SAMPLED
        some = tensor[:: len(tensor) // _SAMPLED][:_SAMPLED].clone() if many else tensor
        whole.update(f"{tuple(tensor.shape)} {digest_of(some)}".encode())
    return whole.hexdigest()[:16]


def share(
    data: SearchData,
    task: Task | type[Task],
    data_dir: Path | None = None,
    *,
    purpose: Purpose = "search",
    plugins_dir: tuple[Path, ...] = (),
) -> ray.ObjectRef[Any]:
    """Put a task's splits into Ray's object store, as ``SharedData``.

    A driver that then deletes ``data`` and reads them from the store has no second copy on its node.

    Args:
        data: the splits that the driver has read.
        task: their task; a class for its default configuration.
        data_dir: folder with the user's data.
        purpose: what the splits are for.
        plugins_dir: folders with loose plugin files.
    """
    reader: Any = None
    if not task.mapped and (task.inputs == "events" or fields_of(task.Config)):
        # the files are where the driver has read them, whatever the other nodes have
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(SplitsReader)
        actor = actor.options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
        reader = actor.remote(plugins_dir, data_dir and data_dir.resolve(), purpose)
    return ray.put(SharedData.of(data, task, data_dir, purpose=purpose, reader=reader))


def _key(task: Task, steps: int) -> Key:
    """Return what a task's data depend on: its configuration and, of events, T."""
    return repr(task.config), steps if task.inputs == "events" else 0


def read_splits(task: Task, data_dir: Path | None, steps: int, purpose: Purpose) -> SearchData:
    """Read the splits of a task for a purpose."""
    if purpose == "search":
        return task.search_data(data_dir, steps)
    return confirmation_data(task, data_dir, steps, alone=purpose == "alone")


def _arrays(data: Data) -> tuple[Array, Array]:
    inputs = data.inputs.numpy()
    return (
        inputs,
        inputs if data.targets is data.inputs else data.targets.numpy(),
    )  # the same array is stored once


def _tensor(array: Array) -> torch.Tensor:
    with warnings.catch_warnings():
        # Ray's shared memory is read-only, and nothing here writes to it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))
