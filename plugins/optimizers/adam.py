"""Adam with decoupled weight decay (AdamW)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from spikefront.plugins import PINNED, Float, Optimizer, hookimpl


@dataclass(frozen=True, slots=True)
class Adam(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019)."""

    name = "adam"
    lr: Annotated[float, Float(3e-4, 2e-2, log=True)] = 5e-3
    """Learning rate at the start."""
    weight_decay: Annotated[float, Float(0.0, 0.1), PINNED] = 0.0
    """Decoupled weight decay."""

    def __call__(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        groups = list(parameters)
        fused = self.fusable(groups)
        return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay, fused=fused)


@hookimpl
def register_optimizers(register: Callable[[type[Optimizer]], None]) -> None:
    register(Adam)
