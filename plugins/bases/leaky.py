"""Leaky integrators with a threshold: the base of LIF, PLIF and ternary LIF neurons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch import Tensor

from spikefront.plugins.contracts import Neuron
from spikefront.plugins.network.membrane import integrate_and_fire, potentials
from spikefront.plugins.network.operations import Operations, product_by
from spikefront.plugins.network.signal import Kind
from spikefront.plugins.network.stepping import one_step
from spikefront.searchspace import PINNED, Choice, Float, Snap


@dataclass(frozen=True, slots=True)
class LeakyConfig:
    """Hyperparameters of a leaky integrator, for a neuron's config to inherit."""

    tau: Annotated[float, Float(1.1, 10.0, log=True), Snap((2.0, 4.0, 8.0))] = 2.0
    """Membrane time constant, in time steps; a power of two leaks by a shift."""
    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Membrane potential at which it fires."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """After a spike: set the membrane potential to 0, or subtract the threshold."""
    decay_input: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the current is divided by tau too; it changes the gain by tau."""
    detach_reset: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether the gradient ignores the reset."""


class Leaky(Neuron):
    """A leaky integrator with a threshold. Its config has the fields of ``LeakyConfig``; tau only for ``leak``."""

    Config: ClassVar[type] = LeakyConfig
    config: Any
    folds_bias: ClassVar[bool] = True

    def leak(self) -> float | Tensor:
        """Return the share of the membrane potential that is lost in a step: 1 / tau, or a tensor of one element."""
        leak: float = 1 / self.config.tau
        return leak

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return self.pooled(current, steps, 0)

    def pooled(self, current: Tensor, steps: int, size: int) -> Tensor:
        return integrate_and_fire(
            current,
            steps,
            leak=self.leak(),
            threshold=self.config.threshold,
            surrogate=self.surrogate,
            hard_reset=self.config.reset == "hard",
            decay_input=self.config.decay_input,
            detach_reset=self.config.detach_reset,
            ternary=self.kind is Kind.TERNARY,
            pool=size,
        )

    def step(self, current: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        fired, v = one_step(
            current,
            state[0] if state else None,
            leak=self.leak(),
            threshold=self.config.threshold,
            surrogate=self.surrogate,
            hard_reset=self.config.reset == "hard",
            decay_input=self.config.decay_input,
            detach_reset=self.config.detach_reset,
            ternary=self.kind is Kind.TERNARY,
        )
        return fired, (v,)

    def potentials(self, current: Tensor, spikes: Tensor) -> Iterator[Tensor]:
        return potentials(
            current,
            spikes,
            leak=self.leak(),
            threshold=self.config.threshold,
            hard_reset=self.config.reset == "hard",
            decay_input=self.config.decay_input,
        )

    def update_operations(self) -> Operations:
        # leak, take the current in (1/tau folds into the weights), compare with each threshold
        leak = self.leak()
        kept = 1 - (leak.item() if isinstance(leak, Tensor) else leak)
        return product_by(kept) + Operations(adds=3 if self.kind is Kind.TERNARY else 2)

    def spike_operations(self) -> Operations:
        return Operations(adds=1 if self.config.reset == "soft" else 0)
