"""Focal loss: ``(1 - p)^gamma`` times the cross-entropy, where p is the probability of the right class.

Samples that are well classified count less; with ``gamma = 0`` it is cross-entropy. Write here what yours is: the
equation, and the paper.

Reference: Lin et al., "Focal loss for dense object detection", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor
from torch.nn import functional

from spikefront.plugins import PINNED, Float, Loss, hookimpl


@dataclass(frozen=True, slots=True)
class MyLoss(Loss):
    """Focal loss: cross-entropy that counts well classified samples less (Lin et al., ICCV 2017).

    Example:
        >>> import torch
        >>> MyLoss(gamma=1.0)(torch.zeros(3, 2), torch.tensor([0, 1, 0]))  # half of log 2
        tensor(0.3466)
    """

    name = "my-loss"
    gamma: Annotated[float, Float(0.0, 5.0), PINNED] = 2.0
    """How much less; 0 for cross-entropy."""

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        entropy = functional.cross_entropy(output, targets, reduction="none")
        return ((1 - (-entropy).exp()) ** self.gamma * entropy).mean()


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    register(MyLoss)
