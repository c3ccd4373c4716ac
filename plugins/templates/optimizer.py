"""Adam with Nesterov momentum (NAdam) and decoupled weight decay, of torch.

Write here what yours is: the equation, and the paper.

Reference: Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop (2016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch.optim.optimizer import ParamsT

from spikefront.plugins import PINNED, Float, Optimizer, hookimpl


@dataclass(frozen=True, slots=True)
class MyOptimizer(Optimizer):
    """Adam with Nesterov momentum (Dozat, 2016)."""

    name = "my-optimizer"
    lr: Annotated[float, Float(3e-4, 2e-2, log=True)] = 2e-3
    """Learning rate at the start."""
    weight_decay: Annotated[float, Float(0.0, 0.1), PINNED] = 0.0
    """Decoupled weight decay."""

    def __call__(self, parameters: ParamsT) -> torch.optim.Optimizer:
        return torch.optim.NAdam(parameters, lr=self.lr, weight_decay=self.weight_decay, decoupled_weight_decay=True)


@hookimpl
def register_optimizers(register: Callable[[type[Optimizer]], None]) -> None:
    register(MyOptimizer)
