"""Ceiling of the memory that a training step takes, from one pass of two samples.

The estimate of ``footprint`` runs a step on tensors without data. For these torch imports its compiler, Triton with it:
a second and 140 MB in each worker. Most candidates take a small part of what a trial may, and the ceiling says so in a
fifth of the time of an estimate.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from spikefront.plugins.checks.watch import OperationWatch
from spikefront.runners.judging.network import Network

SAMPLES: Final = 2
"""Samples of the pass; batch norm needs more than one."""
_PASSES: Final = 3
"""A backward pass holds what the forward pass made, at most as many gradients of that, and as much for what is on the
way; most of the former is freed meanwhile."""
_DRAWS: Final = frozenset(
    {"uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"}
)


def step_ceiling(network: Network, inputs: Tensor, batch: int) -> float:
    """Return bytes that the tensors of a training step do not exceed, its gradients of the parameters left out.

    Args:
        network: a network that is not needed afterwards.
        inputs: two prepared inputs.
        batch: samples of a step.
    """
    made = _Made()
    with torch.no_grad(), made:
        network.train()(inputs)
    return _PASSES * made.bytes * math.ceil(batch / len(inputs))


def unwritten() -> TorchFunctionMode:
    """Return a context in which new weights stay as memory is.

    What they hold does not matter for sizes, and pages that nobody writes take no memory, however many they are.
    """
    return _Unwritten()


class _Unwritten(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(function, "__name__", "") in _DRAWS:  # of a tensor, or one of torch.nn.init
            return args[0] if args else given["tensor"]
        return function(*args, **given)


class _Made(OperationWatch):
    """Context that sums the bytes of all tensors that are made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if function.is_view or function._schema.is_mutable:  # what it returns was there before
            return out
        for one in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(one, Tensor):
                self.bytes += one.nbytes
        return out
