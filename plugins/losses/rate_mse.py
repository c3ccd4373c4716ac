"""Mean squared error between output rates and the one-hot target.

Rates are the decoded outputs: firing rates in [0, 1] where the backbone's read-out is of spikes, such as the voted ones
of ``vgg``; with a read-out of currents, the error is that of the mean current. The mean is over samples and classes.

Reference: Fang et al., "Incorporating learnable membrane time constant to enhance learning of spiking neural networks",
ICCV (2021); the code of TCJA-SNN (Zhu et al., 2024) trains on it. The paper of TCJA-SNN writes the mean over steps of
the error of each step's spikes, which its code for DVS128 Gesture does not use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins import Loss, hookimpl


@dataclass(frozen=True, slots=True)
class RateMSE(Loss):
    """Mean squared error between output rates and the one-hot target (Fang et al., ICCV 2021; TCJA-SNN)."""

    name = "rate-mse"

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(output, F.one_hot(targets, output.shape[1]).to(output.dtype))


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    register(RateMSE)
