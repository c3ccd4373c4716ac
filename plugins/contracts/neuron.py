"""The contract of a spiking neuron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor, nn

from spikefront.plugins.contracts.plugin import InputKind, Plugin
from spikefront.plugins.contracts.surrogate import Surrogate
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Kind


class Neuron(Plugin, nn.Module):
    """A spiking neuron: currents ``(T, B, ...)`` to spikes ``(T, B, ...)``, all steps in one call.

    Attributes:
        kind: what it emits.
        folds_bias: whether a constant current is the same as another threshold and another value after a reset, so that
            biases cost nothing. It is of a leaky integrator, whose potential a constant shifts by a constant; without a
            leak the potential climbs, and biases are added at every step.
        counts_parts: whether its potential is a whole number of parts of a threshold, which a current of 64 bits tells.
        emits_changes: whether what it emits says how its output changes; who receives it holds the sum.
        codings: names of the codings that it can be used with; None for any.
        inputs: kinds of input of the tasks that it is for; all of them, unless it says otherwise.
        states: numbers that one neuron holds from step to step; an energy model may charge an update for each.

    Args:
        config: its ``Config``, or None for the defaults.
        surrogate: derivative that stands in for the step function's.
    """

    kind: ClassVar[Kind] = Kind.BINARY
    folds_bias: ClassVar[bool] = False
    inputs: ClassVar[frozenset[InputKind]] = frozenset({"static", "events", "sequences", "spikes"})
    states: int = 1
    emits_changes: ClassVar[bool] = False
    codings: ClassVar[frozenset[str] | None] = None
    counts_parts: ClassVar[bool] = False

    def __init__(self, config: Any = None, *, surrogate: Surrogate) -> None:
        nn.Module.__init__(self)
        self._configure(config)
        self.surrogate = surrogate

    def forward(self, current: Tensor, steps: int) -> Tensor:
        """Return the spikes.

        Args:
            current: ``(T, B, ...)``, or ``(1, B, ...)`` for a current that is the same at every step.
            steps: number of time steps T.

        Returns:
            Spikes ``(T, B, ...)``, with the memory layout of ``current``.
        """
        raise TypeError(f"{type(self).__name__} must define forward(current, steps)")

    def pooled(self, current: Tensor, steps: int, size: int) -> Tensor | None:
        """Return the maxima of windows of the spikes, as max pooling right behind the neurons would.

        For training alone, where nothing else reads the spikes. The default is None: the spikes are made, and pooled.
        ``integrate_and_fire`` with ``pool`` does both in one pass over memory.

        Args:
            current: as ``forward`` takes it, of neurons that are maps.
            steps: number of time steps T.
            size: side of a window, as of ``MaxPool``; 0 for none, which gives what ``forward`` does.

        Returns:
            Maxima ``(T, B, C, H // size, W // size)``.
        """
        return None

    @classmethod
    def pools(cls) -> bool:
        """Return whether it defines ``pooled``, and ``forward`` was not overridden since."""
        kind = next(kind for kind in cls.__mro__ if "pooled" in vars(kind) or "forward" in vars(kind))
        return "pooled" in vars(kind) and kind is not Neuron

    def step(self, current: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the spikes of one time step, and the state after it; only of a neuron for recurrent layers.

        Steps one after the other fire as ``forward`` does, bit for bit. A neuron that defines it has no delay, no step
        weights, no ``operations`` of its own, and emits no changes.

        Args:
            current: of this step, ``(B, ...)``.
            state: what the step before returned; None for the first one. The first of it is the membrane potential.
        """
        raise TypeError(f"{type(self).__name__} must define step(current, state) to be in a recurrent layer")

    @classmethod
    def states_a_step(cls) -> bool:
        """Return whether it defines ``step``, and so can be in a recurrent layer."""
        return cls.step is not Neuron.step

    @property
    def delay(self) -> int:
        """Steps by which a spike lags the current that it answers to; spikes are returned aligned all the same."""
        return 0

    @property
    def slots(self) -> int:
        """Steps of a chip that one time step takes where a neuron fires once in each: the most that it fires in a step.

        Latency is in these, and so are accesses and updates on a chip of spiking cores.
        """
        return 1

    def delay_over(self, steps: int) -> int:
        """Return the delay where the code has T steps; that of a neuron which waits for a whole code depends on T."""
        return self.delay

    def step_weights(self, steps: int, like: Tensor) -> Tensor | None:
        """Return what a spike of each step is worth, ``(T,)`` in the dtype of ``like``; None for 1 at every step.

        What is the same at every step is ``(1,)``, which folds into the weights behind, and may be learnt.
        """
        return None

    def update_operations(self) -> Operations:
        """Return the operations of one neuron in one time step, whether it fires or not.

        A neuron with a delay is charged for its further steps too.
        """
        raise TypeError(f"{type(self).__name__} must define update_operations()")

    def spike_operations(self) -> Operations:
        """Return the operations of one spike, such as the subtraction of a soft reset."""
        return Operations()

    def operations(self, current: Tensor, spikes: Tensor) -> Operations:
        """Return the operations of all its neurons on so many steps, summed over time and batch.

        The default is an update in each step and each of the delay, and the operations of each spike. A neuron whose
        work depends on what comes in, or on when it fires, defines this too.

        Args:
            current: as ``forward`` takes it, of these steps.
            spikes: what it returned, ``(T, B, ...)``.
        """
        updates = spikes[0].numel() * (len(spikes) + self.delay_over(len(spikes)))
        fired = spikes.abs().sum() if self.kind in (Kind.COUNT, Kind.SIGNED) else (spikes != 0).sum()
        return self.update_operations() * updates + self.spike_operations() * int(fired)

    def potentials(self, current: Tensor, spikes: Tensor) -> Iterator[Tensor] | None:
        """Return the membrane potentials that a chip holds, to count the steps at which a neuron must be updated.

        The default is None, for which a neuron counts as charged from its first input to the end: an upper bound.
        ``spikefront.plugins.network.membrane.potentials`` does it for integrate-and-fire neurons.

        Args:
            current: as ``forward`` takes it.
            spikes: what it returned, ``(T, B, ...)``.

        Returns:
            V ``(B, ...)`` as each step begins, and on without current after the last one: as many as are asked for.
        """
        return None
