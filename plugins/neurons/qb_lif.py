"""Learnable-scale burst LIF (QB-LIF) neuron: it fires up to D spikes in a step, and a layer learns what one is worth.

::

    H[t] = (1 - 1/tau) V[t-1] + X[t]
    C[t] = round(clip(H[t] / q, 0, D))        halves to even
    V[t] = H[t] - q C[t]

The message is ``q C``. One q per layer folds into the weights behind, so a synapse has C accumulates, as behind
``i-lif``, of which this is the form with another spike: slots, charges and ``unit_spikes`` are the same. Two layers
have two scales, so where their spikes meet in a sum it is analog.

Gradients are those of a learnt step size: with C rounded straight through, ``d(q C)/dH`` is 1 where ``0 <= H/q <= D``
and else 0, and ``d(q C)/dq`` is ``C - H/q`` inside, D above and 0 below. They pass the reset too.

Reference: arXiv 2604.25688, **reconstructed from its abstract**; rounding and decay as in ``i-lif``, gradient as in
Esser et al., "Learned step size quantization", ICLR 2020, without its scaling. The logarithm of q is learnt, so that q
stays above 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from spikefront.plugins import Float, Int, Neuron, Snap, Surrogate, hookimpl
from spikefront.plugins.bases.stepwise import Counting, State
from spikefront.plugins.network.membrane import potentials


@dataclass(frozen=True, slots=True)
class QBLIFConfig:
    """Hyperparameters of the learnable-scale burst neuron."""

    tau: Annotated[float, Float(1.05, 4.0, log=True), Snap((4 / 3, 2.0, 4.0))] = 4 / 3
    """Membrane time constant, in time steps; at 4/3, 2 and 4 it leaks by a shift."""
    most: Annotated[int, Int(1, 8)] = 4
    """Spikes D that it fires at most in one step, and slots that a step takes."""
    init_scale: Annotated[float, Float(0.125, 1.0, log=True)] = 1.0
    """Membrane potential q that each spike stands for, at the start."""


class QBLIF(Counting):
    """Leaky integrator that fires up to D times in a step; a layer learns what a spike is worth (reconstructed)."""

    name = "qb-lif"
    Config = QBLIFConfig
    config: QBLIFConfig
    named_only: ClassVar[bool] = True

    def __init__(self, config: QBLIFConfig | None = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.config.init_scale)))

    @property
    def scale(self) -> Tensor:
        """Membrane potential that a spike stands for, above 0."""
        return self.log_scale.exp()

    @classmethod
    def states_a_step(cls) -> bool:
        """Return False: a recurrent layer would feed back counts without their scale."""
        return False

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        held = current if state is None else state[0] * self.keep + current
        share = (held / self.scale).clamp(0, self.config.most)
        count = share + (share.round() - share).detach()  # exact: the difference is, and so is their sum
        return count, (held - self.scale * count,)

    def step_weights(self, steps: int, like: Tensor) -> Tensor:
        return self.scale.to(like.dtype).view(1)

    def potentials(self, current: Tensor, spikes: Tensor) -> Iterator[Tensor]:
        return potentials(
            current, spikes, leak=1 / self.config.tau, threshold=float(self.scale.detach()), hard_reset=False
        )


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(QBLIF)
