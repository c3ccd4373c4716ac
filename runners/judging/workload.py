"""Predicted work of evaluating a candidate, from a forward pass on tensors without data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikefront.plugins import Registry, SearchData
from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.checks.flops import flop_registry
from spikefront.plugins.checks.watch import OperationWatch
from spikefront.runners.judging.network import Network, assemble, assemble_ann
from spikefront.runners.judging.passes import affordable
from spikefront.searchspace import Candidate

_BATCH = 2  # batch norm needs more than one
_TRAINING = 3.0  # forward and backward, in forward passes


@dataclass(frozen=True, slots=True)
class Speed:
    """Rough speed of a processor, per second; a search corrects it by the times of its trials.

    Attributes:
        flops: floating-point operations of products and convolutions.
        elements: elements written by other operations.
        calls: operations started, of any size.
    """

    flops: float
    elements: float
    calls: float


ONE_CORE = Speed(flops=5e10, elements=4e9, calls=1e5)
ONE_GPU = Speed(flops=1e13, elements=1e11, calls=1e5)


@dataclass(frozen=True, slots=True)
class Workload:
    """One forward pass.

    Attributes:
        flops: floating-point operations of products and convolutions, per sample.
        elements: elements written by all operations, per sample.
        calls: operations started, for a batch of any size.
    """

    flops: float
    elements: float
    calls: float

    def seconds(self, samples: int, at_once: int, speed: Speed) -> float:
        """Return the seconds of ``samples`` samples in batches of ``at_once``."""
        per_sample = self.flops / speed.flops + self.elements / speed.elements
        return samples * per_sample + math.ceil(samples / at_once) * self.calls / speed.calls


class Workloads:
    """Predicted evaluation times of the candidates of one task.

    Args:
        registry: contains the plugins.
        data: the task's splits, of which shapes and sizes are used.
        speed: speed of the processor of a trial.
    """

    def __init__(self, registry: Registry, data: SearchData, speed: Speed = ONE_CORE) -> None:
        self._registry = registry
        self._data = data
        self._speed = speed

    def seconds(self, candidate: Candidate) -> float:
        """Return the predicted seconds of the whole evaluation of a candidate.

        For a conversion coding they include the training of its ANN for all epochs, although it may be in the cache.
        """
        task = self._registry.task(candidate)
        x = task.prepare(self._data.train.inputs[:_BATCH])
        shape = task.shape_at_one_step(tuple(x.shape[1:]))
        if task.inputs == "events":  # frames are the same size for any T
            x = x[:, :1].expand(-1, candidate.steps, *x.shape[2:])
        x = x.to("meta")
        schedule, outputs = candidate.training.schedule, self._data.outputs
        samples = min(schedule.subset or len(self._data.train), len(self._data.train))
        validation, at_once = len(self._data.validation), affordable(candidate.steps)
        with torch.device("meta"):
            network = assemble(candidate, self._registry, shape, outputs)
            passes = workload(network, x)
            trained = passes
            if isinstance(network.coding, Conversion):
                trained = workload(assemble_ann(candidate, self._registry, shape, outputs, network.coding), x)
        evaluation = passes.seconds(validation, at_once, self._speed)
        training = _TRAINING * trained.seconds(samples, schedule.batch, self._speed)
        if isinstance(network.coding, Conversion):
            return evaluation + schedule.epochs * training
        return schedule.epochs * (training + evaluation)


def workload(network: Network, x: Tensor) -> Workload:
    """Return the work of one forward pass.

    Args:
        network: on the meta device.
        x: inputs on the meta device, shape ``(B, ...)``.
    """
    counter = _Counter()
    with torch.no_grad(), counter:
        network(x)
    return Workload(counter.flops / len(x), counter.elements / len(x), counter.calls)


class _Counter(OperationWatch):
    def __init__(self) -> None:
        super().__init__()
        self.flops, self.elements, self.calls = 0, 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        parts = out if isinstance(out, (tuple, list)) else (out,)
        self.elements += sum(part.numel() for part in parts if isinstance(part, Tensor))
        self.calls += 1
        return out
