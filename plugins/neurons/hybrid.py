"""Hybrid neuron: it reads a window of one code, and emits the number that it stands for in another.

Between two layers of different codes the whole window of T steps is integrated, by the weights that the steps have in
the code that comes in, as a read-out does. The sum z is then held, and a neuron of the other code is driven by it as
by a constant input::

    z = sum_t a[t] X[t]                               a: weights of the steps of the code that comes in
    emitter of the code that goes out, with z b[t]    b: shares of a constant in that code; sum_t a'[t] b[t] = 1

The emitters are ``if`` (soft reset, from half its threshold on) for rates, ``tsa`` for canonic signed spikes, ``ttfs``
for times, and ``mth`` for differences; their hyperparameters are those of this neuron. Without a code that comes in it
is its emitter.

Reference: Chen et al., "Hybrid neural coding for pattern recognition with spiking neural networks", arXiv:2305.16594,
for networks of several codes, assigned by hand and trained. Emitters behind an integrated window, for conversion, are
**reconstructed**.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from torch import Tensor

from spikefront.plugins import Kind, Neuron, Operations, Signal, Surrogate, hookimpl
from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.network.signal import over_time
from spikefront.plugins.neurons.integrate_and_fire import IF, IFConfig
from spikefront.plugins.neurons.mth import MTH, MTHConfig
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.neurons.ttfs import TTFS, TTFSConfig, comparisons
from spikefront.searchspace import PINNED, Choice, Float, Int, Snap


@dataclass(frozen=True, slots=True)
class HybridConfig:
    """Hyperparameters of the emitters of a hybrid network."""

    base: Annotated[float, Float(1.2, 3.0), Snap((2.0,)), PINNED] = 2.0
    """Base of the digits of canonic signed spikes."""
    silent_period: Annotated[int, Int(0, 2), PINNED] = 1
    """Steps for which the neuron of canonic signed spikes integrates before it may fire."""
    fire_ratio: Annotated[float, Float(0.4, 0.75), PINNED] = 0.5
    """Share of the threshold at which the neuron of canonic signed spikes fires."""
    thresholds: Annotated[int, Int(1, 8), PINNED] = 8
    """Thresholds 1, 1/2, 1/4, ... of the differential neuron."""
    rounding: Annotated[float, Choice((0.5, 0.0)), PINNED] = 0.5
    """What the neuron that fires once adds to its potential, in levels."""


EMITTERS: Final[Mapping[str, Callable[[HybridConfig, Surrogate], Neuron]]] = {
    "rate": lambda config, surrogate: IF(IFConfig(reset="soft", start=0.5), surrogate=surrogate),
    "css": lambda config, surrogate: TSA(
        TSAConfig(base=config.base, silent_period=config.silent_period, fire_ratio=config.fire_ratio),
        surrogate=surrogate,
    ),
    "ttfs": lambda config, surrogate: TTFS(TTFSConfig(rounding=config.rounding), surrogate=surrogate),
    "differential": lambda config, surrogate: MTH(MTHConfig(thresholds=config.thresholds), surrogate=surrogate),
}
"""Neurons by the code that they emit."""


class Hybrid(Neuron):
    """Neuron that integrates a window of one code and emits it in another.

    Attributes:
        emitter: the neuron of the code that goes out.
        receives: the code that comes in; None where it is what the emitter takes.
        shares: share of a constant current at each step in the code that goes out, ``(T,)`` or ``(1,)``.
    """

    name = "hybrid"
    Config = HybridConfig
    config: HybridConfig
    codings: ClassVar[frozenset[str] | None] = frozenset({"hybrid-conversion"})
    inputs = frozenset({"static"})

    def __init__(self, config: HybridConfig | None = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        self.emitter = self.emits("rate")
        self.receives: Conversion | None = None

    def emits(self, code: str) -> Neuron:
        """Return a neuron that emits a code, one of ``EMITTERS``."""
        return EMITTERS[code](self.config, self.surrogate)

    def between(self, receives: Conversion, code: str, shares: Tensor) -> Hybrid:
        """Return the neuron that reads one code, and emits another.

        Args:
            receives: the code that comes in.
            code: name of the one that goes out.
            shares: how a constant current is shared out over its steps.
        """
        made = Hybrid(self.config, surrogate=self.surrogate)
        made.emitter = self.emits(code)
        made.kind, made.counts_parts = made.emitter.kind, made.emitter.counts_parts  # type: ignore[misc]
        made.states = made.emitter.states + 1  # the sum
        made.receives = receives
        made.register_buffer("shares", shares)
        return made

    def forward(self, current: Tensor, steps: int) -> Tensor:
        spikes: Tensor = self.emitter(self._held(current), steps)
        return spikes

    def _held(self, current: Tensor) -> Tensor:
        """Return the current that drives the emitter."""
        if self.receives is None:
            return current
        weights = self.receives.weights().to(current)
        held = (current * over_time(weights, current)).sum(0, keepdim=True)
        assert isinstance(self.shares, Tensor)
        return held * over_time(self.shares.to(held), held)

    def delay_over(self, steps: int) -> int:
        """Return the window that is integrated, and the delay of what is emitted from then on."""
        return self.emitter.delay_over(steps) if self.receives is None else steps + self.emitter.delay

    def step_weights(self, steps: int, like: Tensor) -> Tensor | None:
        return self.emitter.step_weights(steps, like)

    def update_operations(self) -> Operations:
        return self.emitter.update_operations()

    def spike_operations(self) -> Operations:
        return self.emitter.spike_operations()

    def operations(self, current: Tensor, spikes: Tensor) -> Operations:
        """Return those of a read-out of the code that comes in, of holding the sum, and of emitting it."""
        if self.receives is None:
            return self.emitter.operations(current, spikes)
        read = self.receives.decode_operations(Signal(current, len(spikes), Kind.ANALOG))
        return read + Operations(adds=spikes[0].numel()) + emission(self.emitter, self._held(current), spikes)


def emission(emitter: Neuron, current: Tensor, spikes: Tensor) -> Operations:
    """Return the operations of emitting a number that is known: one that fires once has nothing left to integrate.

    Args:
        emitter: one of ``EMITTERS``.
        current: what drives it.
        spikes: what it emits, ``(T, B, ...)``.
    """
    return Operations(adds=comparisons(spikes)) if isinstance(emitter, TTFS) else emitter.operations(current, spikes)


@hookimpl
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    register(Hybrid)
