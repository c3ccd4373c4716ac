"""Training data of the workers, once per node, in Ray's object store."""

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
    """Splits of a task in Ray's object store, which the processes of a node read without copying.

    For a task whose data are mapped from the node's cache, it has only the folder to read.

    Attributes:
        splits: inputs and targets, of training and of validation; None for a task that is mapped.
        outputs: number of network outputs.
        data_dir: folder with the user's data.
        confirming: whether the data are those of confirming: the test split as validation.
    """

    splits: tuple[tuple[Array, Array], tuple[Array, Array]] | None
    outputs: int
    data_dir: Path | None
    confirming: bool

    @classmethod
    def of(
        cls, data: SearchData, task: type[Task], data_dir: Path | None = None, *, confirming: bool = False
    ) -> SharedData:
        """Wrap the splits of a task."""
        if task.mapped:  # workers have other working directories
            return cls(None, data.outputs, data_dir and data_dir.resolve(), confirming)
        return cls((_arrays(data.train), _arrays(data.validation)), data.outputs, data_dir, confirming)

    def data_for(self, candidate: Candidate, registry: Registry) -> SearchData:
        """Return the splits for a candidate, as tensors on shared memory."""
        if self.splits is not None:
            train, validation = (Data(_tensor(inputs), _tensor(targets)) for inputs, targets in self.splits)
            return SearchData(train, validation, self.outputs)
        task = registry.task(candidate)
        read = confirmation_data if self.confirming else type(task).search_data
        return read(task, self.data_dir, candidate.steps)


def share(
    data: SearchData, task: type[Task], data_dir: Path | None = None, *, confirming: bool = False
) -> ray.ObjectRef[Any]:
    """Put a task's splits into Ray's object store, as ``SharedData``.

    A driver that then deletes ``data`` and reads them from the store has no second copy on its node.
    """
    return ray.put(SharedData.of(data, task, data_dir, confirming=confirming))


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
