"""The data of a search on its way to the workers: once per node, however many trials run there."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
import torch

from spikefront.plugins import Data, Registry, SearchData, Task
from spikefront.runners.judging.confirm import confirmation_data
from spikefront.searchspace import Candidate

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SharedData:
    """What workers get through Ray's object store, which the processes of a node read without copying.

    Of a task whose data are mapped from the node's cache these are only the directions to it.

    Attributes:
        splits: inputs and targets, of training and of validation; None of a task that is mapped.
        outputs: number of network outputs.
        data_dir: where the user keeps data.
        confirming: whether the data are those of confirming: the test split for validation.
    """

    splits: tuple[tuple[Array, Array], tuple[Array, Array]] | None
    outputs: int
    data_dir: Path | None
    confirming: bool

    @classmethod
    def of(
        cls, data: SearchData, task: type[Task], data_dir: Path | None = None, *, confirming: bool = False
    ) -> SharedData:
        """Wrap a task's splits, as the driver has read them."""
        if task.mapped:  # workers have folders of their own
            return cls(None, data.outputs, data_dir and data_dir.resolve(), confirming)
        return cls((_arrays(data.train), _arrays(data.validation)), data.outputs, data_dir, confirming)

    def data_for(self, candidate: Candidate, registry: Registry) -> SearchData:
        """Return the splits for a candidate, as tensors on memory that it shares with others."""
        if self.splits is not None:
            train, validation = (Data(_tensor(inputs), _tensor(targets)) for inputs, targets in self.splits)
            return SearchData(train, validation, self.outputs)
        task: Task = registry.get("task", candidate.task.name)(candidate.task.config)
        read = confirmation_data if self.confirming else type(task).search_data
        return read(task, self.data_dir, candidate.steps)


def share(
    data: SearchData, task: type[Task], data_dir: Path | None = None, *, confirming: bool = False
) -> ray.ObjectRef[Any]:
    """Put a task's splits into Ray's object store, as ``SharedData``.

    A driver that forgets ``data`` then, and reads them from there too, has no copy of its own beside the node's.
    """
    return ray.put(SharedData.of(data, task, data_dir, confirming=confirming))


def _arrays(data: Data) -> tuple[Array, Array]:
    inputs = data.inputs.numpy()
    return inputs, inputs if data.targets is data.inputs else data.targets.numpy()  # stored once: images to generate


def _tensor(array: Array) -> torch.Tensor:
    with warnings.catch_warnings():
        # Ray's shared memory is read-only, and so is all use of it here
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))
