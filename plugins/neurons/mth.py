"""Differential multi-threshold (MTH) neuron: its messages say how the running mean of its output changes.

The current d of a step is that of messages which are changes too; what is constant over time comes with the first. The
mean of t steps changes by 1/t of what a step adds, so with the running means e of input and output, all 0 at first::

    m += d + e_in - e_out;   O += e_out
    s = 2^-i    for the first i = 0 .. n-1 with m >= r 2^-i, else
       -2^-i    for the first i with m <= -r 2^-i and O >= 2^-i, else 0
    O += s;   m -= s;   e_in += d / t;   e_out += s / t

``e_out + s`` is the train that a neuron without differences would emit, O its sum, and ``sum_t s / t`` what the
messages mean. They stop when the mean is known. With one threshold (n = 1) and r = 1/2 it is the integrate-and-fire
neuron that starts at half its threshold. A negative message needs an O as large: the output of a rectifier does not
fall below 0.

Reference: "Differential coding for training-free ANN-to-SNN conversion", ICML (2025), arXiv:2503.00301, and the code
released with it, of which this is the update. There the constant comes in a pass of its own, before the first step; as
part of step 1 it gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Kind, Neuron, Operations, hookimpl
from spikefront.plugins.network.operations import product_by
from spikefront.plugins.network.recurrence import empty_over_time
from spikefront.searchspace import PINNED, Choice, Int


@dataclass(frozen=True, slots=True)
class MTHConfig:
    """Hyperparameters of the multi-threshold neuron."""

    thresholds: Annotated[int, Int(1, 8)] = 8
    """Thresholds 1, 1/2, 1/4, ...: a message is one of them, or minus one."""
    fire_ratio: Annotated[float, Choice((0.75, 0.5)), PINNED] = 0.75
    """Share r of a threshold at which it fires."""


class MTH(Neuron):
    """Neuron that fires powers of two, of either sign, when the running mean of its output changes.

    Its gradient is straight-through: a message follows the current of its step, from the least that it may emit to
    twice the largest threshold.
    """

    name = "mth"
    Config = MTHConfig
    config: MTHConfig
    kind = Kind.POWER
    codings: ClassVar[frozenset[str] | None] = frozenset({"differential-conversion"})
    states = 4  # potential, sum of outputs, two running means

    def forward(self, current: Tensor, steps: int) -> Tensor:
        thresholds = tuple(2.0**-number for number in range(self.config.thresholds))
        messages: Tensor = _Differ.apply(current, steps, thresholds, self.config.fire_ratio)  # type: ignore[no-untyped-call]
        return messages

    def update_operations(self) -> Operations:
        # three to the potential, two to the sum of outputs, one to the mean; a leading-one detector finds the threshold
        # of either sign: two comparisons
        return Operations(adds=8)

    def spike_operations(self) -> Operations:
        return Operations(adds=2)  # from the potential, to the mean

    def operations(self, current: Tensor, spikes: Tensor) -> Operations:
        """Return updates and messages, and the division by t of each current and each message that is not 0."""
        done = self.update_operations() * spikes.numel()
        done += self.spike_operations() * int(torch.count_nonzero(spikes))
        for t, message in enumerate(spikes, 1):
            came = current[t - 1 if len(current) > 1 else 0]
            done += product_by(1 / t) * int(torch.count_nonzero(came) + torch.count_nonzero(message))
        return done


class _Differ(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int, thresholds: tuple[float, ...], ratio: float) -> Tensor:
        messages = empty_over_time(current, steps)
        start = 0.5 if ratio == 0.5 else 0.0  # half a threshold: an integrate-and-fire neuron has its bounds at 0 and 1
        potential = torch.full_like(current[0], start)
        emitted, mean_in, mean_out = (torch.zeros_like(potential) for _ in range(3))
        passes = torch.empty_like(messages, dtype=torch.bool)
        for t in range(1, steps + 1):
            came = current[t - 1 if len(current) > 1 else 0]
            potential = potential + (came + mean_in - mean_out)
            emitted = emitted + mean_out
            message = _fire(potential, emitted, thresholds, ratio, start)
            messages[t - 1] = message
            passes[t - 1] = (potential >= start - emitted) & (potential <= start + 2)
            emitted, potential = emitted + message, potential - message
            mean_in, mean_out = mean_in + came / t, mean_out + message / t
        ctx.save_for_backward(passes)
        ctx.constant = len(current) == 1
        return messages

    @staticmethod
    def backward(ctx: Any, grad_messages: Tensor) -> tuple[Tensor | None, ...]:
        (passes,) = ctx.saved_tensors
        grad = grad_messages * passes
        return grad.sum(0, keepdim=True) if ctx.constant else grad, None, None, None


def _fire(potential: Tensor, emitted: Tensor, thresholds: tuple[float, ...], ratio: float, start: float) -> Tensor:
    message = torch.zeros_like(potential)
    for threshold in reversed(thresholds):  # the first that is reached comes last
        down = (potential <= start - ratio * threshold) & (emitted >= threshold)
        message = torch.where(down, -threshold, message)
    for threshold in reversed(thresholds):
        message = torch.where(potential >= start + ratio * threshold, threshold, message)
    return message


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(MTH)
