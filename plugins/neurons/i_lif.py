"""Integer LIF (I-LIF) neuron: it says at each step how many spikes it fires, and a chip fires them one by one.

::

    H[t] = (1 - 1/tau) V[t-1] + X[t]
    C[t] = round(clip(H[t] / threshold, 0, D))        halves to even
    V[t] = H[t] - threshold C[t]

Training and judging compute with the counts C. A chip of unit spikes runs D sub-steps, its slots, for each step: slot
k has a spike where ``C >= k``, and ``W C = sum of W s_k`` is C accumulates per synapse, which is what is charged.
Currents are summed over the slots and biases added once; the neuron then finds C by one comparison for each slot, with
``threshold / 2``, and loses the threshold by each spike. Thus ``latency_steps`` is T D. ``unit_spikes`` is the
expansion; by slots an OR is the largest count, so max pooling of counts stays free.

The gradient is straight-through: 1 / threshold where ``0 <= H / threshold <= D``, else 0, whatever
``training.surrogate`` is. It passes the reset too.

Reference: Luo et al., "Integer-valued training and spike-driven inference spiking neural network for high-performance
and energy-efficient object detection" (SpikeYOLO), ECCV 2024, arXiv 2407.20708, whose decay is 0.25 and whose threshold
is 1; conventions as SpikingJelly's ILIFNode. D = 1 differs from ``lif`` without ``decay_input`` and with a soft reset
in that it fires from half the threshold on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from spikefront.plugins import PINNED, Choice, Float, Int, Neuron, Snap, hookimpl
from spikefront.plugins.bases.stepwise import Counting, State
from spikefront.plugins.network.membrane import potentials


@dataclass(frozen=True, slots=True)
class ILIFConfig:
    """Hyperparameters of the integer LIF neuron."""

    tau: Annotated[float, Float(1.05, 4.0, log=True), Snap((4 / 3, 2.0, 4.0))] = 4 / 3
    """Membrane time constant, in time steps; at 4/3, 2 and 4 it leaks by a shift."""
    most: Annotated[int, Int(1, 8)] = 4
    """Spikes D that it fires at most in one step, and slots that a step takes."""
    threshold: Annotated[float, Float(0.3, 2.0), PINNED] = 1.0
    """Membrane potential that each spike stands for; the weights in front scale as well."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = False
    """Whether the gradient ignores the reset."""


def unit_spikes(counts: Tensor, most: int) -> Tensor:
    """Expand counts to unit spikes, those of a step one after the other from its first slot on.

    Args:
        counts: whole numbers from 0 to ``most``, ``(T, ...)``, or from ``-most``, which negative spikes expand.
        most: slots D of a step.

    Returns:
        Spikes in {0, 1}, or {-1, 0, 1}, ``(T * D, ...)``, slot by slot, in the dtype of ``counts``.

    Example:
        >>> unit_spikes(torch.tensor([2.0, 0.0, 3.0]), most=3)
        tensor([1., 1., 0., 0., 0., 0., 1., 1., 1.])
    """
    slots = torch.arange(most, device=counts.device).view(-1, *[1] * (counts.dim() - 1))
    each = counts.unsqueeze(1)
    return ((each.abs() > slots) * each.sign()).flatten(0, 1)


class ILIF(Counting):
    """Leaky integrator that fires up to D times in a step."""

    name = "i-lif"
    Config = ILIFConfig
    config: ILIFConfig

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        config = self.config
        held = current if state is None else state[0] * self.keep + current
        count: Tensor = _Count.apply(held, config.threshold, config.most)  # type: ignore[no-untyped-call]
        fired = count.detach() if config.detach_reset else count
        return count, (torch.sub(held, fired, alpha=config.threshold),)

    def potentials(self, current: Tensor, spikes: Tensor) -> Iterator[Tensor]:
        config = self.config
        return potentials(current, spikes, leak=1 / config.tau, threshold=config.threshold, hard_reset=False)


class _Count(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, held: Tensor, threshold: float, most: int) -> Tensor:
        thresholds = held / threshold
        ctx.threshold = threshold
        ctx.save_for_backward((thresholds >= 0) & (thresholds <= most))
        return thresholds.clamp_(0, most).round_()

    @staticmethod
    def backward(ctx: Any, grad_count: Tensor) -> tuple[Tensor, None, None]:
        (passes,) = ctx.saved_tensors
        return grad_count * passes / ctx.threshold, None, None


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(ILIF)
