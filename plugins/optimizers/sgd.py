"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from spikefront.plugins import PINNED, Float, Optimizer, hookimpl


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

    def __call__(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)


@hookimpl
def register_optimizers(register: Callable[[type[Optimizer]], None]) -> None:
    register(SGD)
