"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from spikefront.plugins import PINNED, Choice, Float, Optimizer, hookimpl


@dataclass(frozen=True, slots=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum."""

    name = "sgd"
    lr: Annotated[float, Float(1e-3, 0.5, log=True)] = 0.1
    """Learning rate at the start."""
    momentum: Annotated[float, Float(0.0, 0.99), PINNED] = 0.9
    """Momentum."""
    weight_decay: Annotated[float, Float(0.0, 0.01), PINNED] = 0.0
    """L2 penalty on the weights."""
    decay_all: Annotated[bool, Choice((False, True)), PINNED] = False
    """Whether the penalty is on biases and normalisation too, as torch's optimisers have it by default."""

    def __call__(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        groups = [_without_own_decay(group) if self.decay_all else group for group in parameters]
        fused = self.fusable(groups)
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, fused=fused)


def _without_own_decay(group: Any) -> Any:
    return {key: value for key, value in group.items() if key != "weight_decay"} if isinstance(group, dict) else group


@hookimpl
def register_optimizers(register: Callable[[type[Optimizer]], None]) -> None:
    register(SGD)
