"""Adaptive LIF (ALIF) neuron: each of its spikes raises its threshold for a while.

The membrane potential H is that of ``lif``. It fires where ``H[t] >= threshold + b A[t]``, with the adaptation
``A[t] = rho A[t-1] + (1 - rho) S[t-1]``, A = 0 at first and ``rho = exp(-1/tau_adaptation)``: a spike counts from the
next step on. Then V is set to 0 (hard reset) or loses the threshold that was crossed (soft).

Reference: Bellec et al., "Long short-term memory and learning-to-learn in networks of spiking neurons", NeurIPS 2018,
whose reset is soft; range of b and tau_adaptation reconstructed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from spikefront.plugins import Neuron, Operations, Surrogate, hookimpl
from spikefront.plugins.network.membrane import charge
from spikefront.plugins.network.operations import product_by
from spikefront.plugins.network.recurrence import Recurrence, empty_over_time, native, recur
from spikefront.searchspace import PINNED, Choice, Float, Snap


@dataclass(frozen=True, slots=True)
class ALIFConfig:
    """Hyperparameters of the ALIF neuron."""

    tau: Annotated[float, Float(1.1, 10.0, log=True), Snap((2.0, 4.0, 8.0))] = 2.0
    """Membrane time constant, in time steps; a power of two leaks by a shift."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires while it has not adapted."""
    adaptation: Annotated[float, Float(0.0, 2.0)] = 1.8
    """What a neuron that fires at every step adds to its threshold, b."""
    tau_adaptation: Annotated[float, Float(2.0, 200.0, log=True)] = 20.0
    """Time constant of the adaptation, in time steps."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or subtract the raised threshold."""
    decay_input: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the current is divided by tau too; it changes the gain by tau."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset; it goes through the adaptation either way."""


class ALIF(Neuron):
    """Leaky integrator whose threshold its own spikes raise."""

    name = "alif"
    Config = ALIFConfig
    config: ALIFConfig
    folds_bias = True
    states = 2

    def forward(self, current: Tensor, steps: int) -> Tensor:
        if code := native(current, steps):
            return recur(current, self._recurrence(steps), self.surrogate, code)
        spikes: Tensor = _AdaptiveIntegrateAndFire.apply(  # type: ignore[no-untyped-call]
            current, steps, self.config, self.surrogate
        )
        return spikes

    def _recurrence(self, steps: int) -> Recurrence:
        config = self.config
        return Recurrence(
            fires=(config.threshold,) * steps,
            losses=(config.threshold,) * steps,
            leak=1 / config.tau,
            keep=1 - 1 / config.tau,
            gain=1 / config.tau if config.decay_input else 1.0,
            hard_reset=config.reset == "hard",
            decay_input=config.decay_input,
            detach_reset=config.detach_reset,
            adaptation=config.adaptation,
            rho=math.exp(-1 / config.tau_adaptation),
        )

    def update_operations(self) -> Operations:
        # as LIF; besides, let b A decay and add it to the threshold
        decays = product_by(1 - 1 / self.config.tau) + product_by(math.exp(-1 / self.config.tau_adaptation))
        return decays + Operations(adds=3)

    def spike_operations(self) -> Operations:
        return Operations(adds=2 if self.config.reset == "soft" else 1)  # the adaptation grows


class _AdaptiveIntegrateAndFire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int, config: ALIFConfig, surrogate: Surrogate) -> Tensor:
        rho = math.exp(-1 / config.tau_adaptation)
        potential = empty_over_time(current, steps)  # H, before the reset
        raised = torch.empty_like(potential)  # threshold + b A
        spikes = torch.empty_like(potential)
        adaptation = torch.zeros_like(potential[0])
        before: Tensor | None = None  # V of the step before
        for t in range(steps):
            x = current[t if len(current) > 1 else 0]
            h = charge(x, before, 1 / config.tau, config.decay_input, out=potential[t])
            threshold = torch.mul(adaptation, config.adaptation, out=raised[t]).add_(config.threshold)
            s = torch.ge(h, threshold, out=spikes[t])
            if t < steps - 1:
                before = torch.addcmul(h, h if config.reset == "hard" else threshold, s, value=-1)
                adaptation.mul_(rho).add_(s, alpha=1 - rho)
        ctx.save_for_backward(potential, raised, spikes)
        ctx.rule = (len(current) == 1, rho, config, surrogate)
        return spikes

    @staticmethod
    def backward(ctx: Any, grad_spikes: Tensor) -> tuple[Tensor | None, ...]:
        potential, raised, spikes = ctx.saved_tensors
        constant, rho, config, surrogate = ctx.rule
        gain = 1 / config.tau if config.decay_input else 1.0
        hard = config.reset == "hard"
        grad_current = torch.zeros_like(potential[:1]) if constant else torch.empty_like(potential)
        grad_v: Tensor | None = None  # gradients of V[t] and A[t+1]
        grad_a = torch.zeros_like(potential[0])
        for t in reversed(range(len(potential))):
            h, threshold, s = potential[t], raised[t], spikes[t]
            grad_s = torch.add(grad_spikes[t], grad_a, alpha=1 - rho)
            if grad_v is not None and not config.detach_reset:
                grad_s.addcmul_(grad_v, h if hard else threshold, value=-1)
            grad_h = surrogate(h - threshold).mul_(grad_s)
            grad_a.mul_(rho).sub_(grad_h, alpha=config.adaptation)
            if grad_v is not None:
                if not hard and not config.detach_reset:
                    grad_a.addcmul_(grad_v, s, value=-config.adaptation)
                grad_h.add_(grad_v)
                if hard:
                    grad_h.addcmul_(grad_v, s, value=-1)
            if constant:
                grad_current[0].add_(grad_h, alpha=gain)
            else:
                torch.mul(grad_h, gain, out=grad_current[t])
            grad_v = grad_h.mul_(1 - 1 / config.tau)
        return grad_current, None, None, None


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(ALIF)
