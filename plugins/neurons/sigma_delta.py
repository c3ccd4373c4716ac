"""Sigma-delta neuron: it sends how its potential changed since it last sent, in whole steps, and the receiver sums.

With beta what is left of the potential V after a step, and R what the receiver has summed::

    V[t] = beta V[t-1] + X[t]
    s[t] = step round((f(V[t]) - R[t-1]) / step)        halves to even
    R[t] = R[t-1] + s[t]

f is a rectifier, or, with ``rectified = false``, nothing. R is what was sent, not what was meant, so errors don't add
up: ``|R - f(V)| <= step / 2`` at every step. Where the potential is still, nothing is sent.

What is emitted are the signed counts ``s / step``, each unit an accumulate per synapse; ``step`` folds into the
weights behind. A synapse behind needs an accumulator for each of its outputs, which starts at the bias: an addition per
output and step is charged. There is no bound on the units of a step, so it has no slots: latency is T, of a chip whose
messages are numbers. ``spikefront.plugins.neurons.i_lif.unit_spikes`` expands them to spikes of either sign.

The gradient is straight-through: R follows f(V), to 1, whatever ``training.surrogate`` is.

Reference: the open loop ``s[t] = step round((V[t] - V[t-1]) / step)`` is that of the code of spyx (``sigma_delta``),
whose sum drifts from V as the square root of T. **Reconstructed here as a closed loop**, with the rectifier that
networks of such neurons have between sigma and delta: Shrestha et al., "Efficient video and audio processing with Loihi
2", ICASSP 2024. There beta may be learnt; here the search chooses it, for all neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import PINNED, Choice, Float, Kind, Neuron, Operations, Snap, hookimpl
from spikefront.plugins.bases.stepwise import State, Stepwise, stacked
from spikefront.plugins.network.operations import product_by


@dataclass(frozen=True, slots=True)
class SigmaDeltaConfig:
    """Hyperparameters of the sigma-delta neuron."""

    beta: Annotated[float, Float(0.0, 1.0), Snap((0.5, 0.75, 0.875))] = 0.5
    """Share of the potential that a step leaves; 0 for a neuron without memory."""
    step: Annotated[float, Float(0.01, 2.0, log=True)] = 0.25
    """Change of the potential that one unit stands for."""
    rectified: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the potential is sent without what is below 0; else layers of these neurons are linear."""


class SigmaDelta(Stepwise):
    """Leaky integrator that sends the change of its potential as signed counts, for sequences (reconstructed)."""

    name = "sigma-delta"
    Config = SigmaDeltaConfig
    config: SigmaDeltaConfig
    kind = Kind.SIGNED
    inputs = frozenset({"sequences"})
    emits_changes: ClassVar[bool] = True
    named_only: ClassVar[bool] = True
    states = 3  # potential, what was sent, and the accumulator of its current

    @classmethod
    def states_a_step(cls) -> bool:
        """Return False: what a recurrent layer feeds back would have to be summed."""
        return False

    def forward(self, current: Tensor, steps: int) -> Tensor:
        if not torch.is_grad_enabled():  # the steps are a graph that can be exported
            return super().forward(current, steps)
        current = current.expand(steps, *current.shape[1:])
        target = self._rectified(self._potentials(current) if self.config.beta else current) / self.config.step
        received = target + (_sent(target) - target).detach()  # exact: what was sent is at most 1/2 away
        return received - torch.cat([torch.zeros_like(received[:1]), received[:-1]])  # in the layout of the current

    def _potentials(self, current: Tensor) -> Tensor:
        held = [current[0]]
        for each in current[1:].unbind(0):
            held.append(self.config.beta * held[-1] + each)
        return stacked(held)

    def _rectified(self, potential: Tensor) -> Tensor:
        return potential.relu() if self.config.rectified else potential

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        config = self.config
        v, sent = (torch.zeros_like(current),) * 2 if state is None else state
        v = config.beta * v + current
        target = self._rectified(v) / config.step
        change = target - sent
        count = change + (change.round() - change).detach()  # exact: the difference is, and so is their sum
        return count, (v, sent + count)  # in units, whose sum is exact

    def step_weights(self, steps: int, like: Tensor) -> Tensor:
        return like.new_tensor([self.config.step])

    def update_operations(self) -> Operations:
        # leak, take the current in, rectify; compare the difference with half a step of either sign
        return product_by(self.config.beta) + Operations(adds=4 + self.config.rectified)

    def spike_operations(self) -> Operations:
        return Operations(adds=1)  # to what was sent


@torch.no_grad()
def _sent(target: Tensor) -> Tensor:
    """Return what the receiver has summed after each step, in units, of targets ``(T, ...)``.

    Step by step, since half a unit is rounded by where the sum stands.
    """
    sums = torch.empty_like(target)
    torch.round(target[0], out=sums[0])
    for before, now, wanted in zip(sums, sums[1:], target[1:], strict=False):
        torch.sub(wanted, before, out=now).round_().add_(before)
    return sums


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(SigmaDelta)
