"""Temporal efficient training (TET): the mean over steps of the cross-entropy of each step's output.

With O[t] the output at step t, y the target, and w the weight of a term that holds outputs near a mean m::

    L = (1 - w) (1/T) sum_t CE(O[t], y) + w mean (O[t] - m)^2

The cross-entropy of the mean output is at most the first term (Jensen), which asks each step alone to be right. It
needs codings whose decoded output is the mean over time; any other weighs steps in a way that it does not know of.

Reference: Deng, Li, Zhang & Gu, "Temporal efficient training of spiking neural network via gradient re-weighting", ICLR
(2022). Defaults of weight and mean are those of the code of TCJA-SNN (Zhu et al., 2024), which has a copy of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins import PINNED, Float, Loss, hookimpl


@dataclass(frozen=True, slots=True)
class TET(Loss):
    """Temporal efficient training: mean over steps of each step's cross-entropy (Deng et al., ICLR 2022)."""

    name = "tet"
    per_step = True
    weight: Annotated[float, Float(0.0, 1.0), PINNED] = 1e-3
    """Weight of the squared distance of outputs from their mean; the cross-entropies have the rest."""
    mean: Annotated[float, Float(-10.0, 10.0), PINNED] = 1.0
    """Where that term holds outputs."""

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        steps = len(output)
        entropy = F.cross_entropy(output.flatten(0, 1), targets.repeat(steps))
        return entropy.lerp((output - self.mean).square().mean(), self.weight) if self.weight else entropy


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    register(TET)
