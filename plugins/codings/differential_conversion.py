"""Differential conversion: spikes carry how the mean of a train changes, so that a known value costs nothing more.

Step t of T adds 1/t of its current to the mean that an edge stands for, so the output after t steps is the sum of
``I[j] / j`` over j = 1 .. t, at every t. The current of the input, like the biases', comes whole at the first step.
With multi-threshold neurons (``mth``) messages are powers of two, a shift and an addition at a synapse, and stop after
a few steps; at one step the network is the ANN with activations rounded to powers of two. With one threshold
(``neuron.mth.thresholds=1``, ``neuron.mth.fire_ratio=0.5``) they are the changes of a rate, which saves nothing.

Reference: "Differential coding for training-free ANN-to-SNN conversion", ICML (2025), arXiv:2503.00301, and the code
released with it: neuron and read-out are exact. **Reconstructed**: thresholds are percentiles of activations, where the
paper iterates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Coding, hookimpl
from spikefront.plugins.bases.conversion import Conversion
from spikefront.searchspace import Int


class DifferentialConversion(Conversion):
    """Changes of a running mean, as powers of two, converted from an ANN."""

    name = "differential-conversion"
    step_range = Int(2, 32, log=True)
    source = "ICML 2025, arXiv:2503.00301, and its released neuron; thresholds are percentiles here"
    starting_points = ({"steps": 8, "backbone": "mlp"}, {"steps": 8, "backbone": "convnet"})
    neurons: ClassVar[frozenset[str] | None] = frozenset({"mth"})
    not_in_nir = "neurons that fire powers of two, which NIR does not have"

    def shares(self) -> Tensor:
        return torch.tensor([1.0, *[0.0] * (self.steps - 1)])

    def weights(self) -> Tensor:
        return 1 / torch.arange(1.0, self.steps + 1)

    def full_scale(self) -> float:
        return 1.0  # the largest message of the first step, which the mean keeps


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(DifferentialConversion)
