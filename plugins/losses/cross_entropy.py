"""Cross-entropy of the decoded output, with label smoothing.

With smoothing e, the target of K classes is ``1 - e + e/K`` for the right one and ``e/K`` for each other one.

Reference: Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR (2016). GAC's code trains
ImageNet with e = 0.1, and CIFAR with none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins import PINNED, Float, Loss, hookimpl


@dataclass(frozen=True, slots=True)
class CrossEntropy(Loss):
    """Cross-entropy of the decoded output, with label smoothing (Szegedy et al., CVPR 2016)."""

    name = "cross-entropy"
    smoothing: Annotated[float, Float(0.0, 0.5), PINNED] = 0.0
    """Share of the target that is spread evenly over all classes."""

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(output, targets, label_smoothing=self.smoothing)


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    register(CrossEntropy)
