"""Optimisers by name. Each class is its own search space, since a good learning rate depends on the optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import torch

from spikefront.searchspace import PINNED, Float


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019)."""

    lr: Annotated[float, Float(3e-4, 2e-2, log=True)] = 2e-3
    """Learning rate at the start."""
    weight_decay: Annotated[float, Float(0.0, 0.1), PINNED] = 0.0
    """Decoupled weight decay."""

    def __call__(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum."""

    lr: Annotated[float, Float(1e-3, 0.5, log=True)] = 0.1
    """Learning rate at the start."""
    momentum: Annotated[float, Float(0.0, 0.99), PINNED] = 0.9
    """Momentum."""
    weight_decay: Annotated[float, Float(0.0, 0.01), PINNED] = 0.0
    """L2 penalty on the weights."""

    def __call__(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)


OPTIMIZERS: Final[dict[str, type]] = {"adam": Adam, "sgd": SGD}
