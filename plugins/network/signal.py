"""Signals: the values on an edge of a spiking network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from torch import Tensor


class ContractError(ValueError):
    """A plugin breaks its contract in a way that would falsify the numbers of its candidate."""


class Kind(StrEnum):
    """The values an edge declares to carry, which decides what its synapses cost.

    Declared by the module that produces the edge and checked by the op counter; never guessed from values.
    """

    BINARY = "binary"  # {0, 1}: an accumulate per event and synapse
    TERNARY = "ternary"  # {-1, 0, 1}: an add or subtract per event and synapse
    COUNT = "count"  # {0, 1, 2, ...}: spikes that arrive together, each an accumulate per synapse
    ANALOG = "analog"  # anything: a multiply-accumulate per non-zero value and synapse


@dataclass(frozen=True, slots=True)
class Events:
    """Non-zero values that wait, behind average pooling, for the synapse that they will be charged to.

    Attributes:
        count: non-zero values by position, summed over time and batch, shape ``(C, H, W)``.
        rows: for each pooled row, which input rows reach it; boolean ``(H_out, H)``.
        columns: the same for columns, ``(W_out, W)``.
    """

    count: Tensor
    rows: Tensor
    columns: Tensor


@dataclass(frozen=True, slots=True)
class Signal:
    """Values on an edge, over time.

    Attributes:
        values: shape ``(T, B, ...)``. **A time axis of length 1 means constant over time**: it stays so until the first
            stateful module, so what is constant is computed once.
        steps: number of time steps T that the signal spans.
        kind: what ``values`` may hold.
        coefficient: optional weight of each step, shape ``(T,)``, or of each step and channel, ``(T, C)``; the edge
            carries ``coefficient[t] * values[t]``. Here too a leading 1 means constant over time. A synapse behind
            such an edge stays accumulate-only: what is constant over time folds into its weights, what is not costs a
            multiply per output and step.
        delay: steps by which the first value lags the network's input, physically: neurons with a silent period add
            theirs. Values are aligned by index all the same, so sums of edges need no care.
        events: set by the op counter behind average pooling; None elsewhere.
    """

    values: Tensor
    steps: int
    kind: Kind
    coefficient: Tensor | None = None
    delay: int = 0
    events: Events | None = None

    def with_values(self, values: Tensor) -> Signal:
        """Return the same edge carrying other values."""
        return replace(self, values=values)

    def current(self, values: Tensor) -> Signal:
        """Return the analog signal of a synapse that this signal drove."""
        return Signal(values, self.steps, Kind.ANALOG, delay=self.delay)

    def weighted(self, coefficient: Tensor) -> Signal:
        """Return the same edge with a further coefficient, ``(T|1,)`` or ``(T|1, C)``."""
        if self.coefficient is not None:
            if self.coefficient.dim() == coefficient.dim():
                coefficient = self.coefficient * coefficient
            else:
                coefficient = _by_channel(self.coefficient) * _by_channel(coefficient)
        return replace(self, coefficient=coefficient)

    def decoded(self) -> Tensor:
        """Return the values with the coefficient applied, shape ``(T, B, ...)`` or ``(1, B, ...)``."""
        if self.coefficient is None:
            return self.values
        return self.values * over_time(self.coefficient, self.values)

    def weighted_steps(self) -> int:
        """Return at how many steps a coefficient that varies over time is anything but 0 or 1."""
        if self.coefficient is None or len(self.coefficient) == 1:
            return 0
        by_step = self.coefficient.reshape(self.steps, -1)
        return int(((by_step != 0) & (by_step != 1)).any(1).sum())


def refuse_time_axis(who: str, signal: Signal, steps: int) -> Signal:
    """Return a signal whose time axes are 1 or T long.

    Args:
        who: the plugin that made it, and where, such as ``coding 'rate'``.
        signal: what it made.
        steps: number of time steps T of the candidate.

    Raises:
        ContractError: for axes of another length, and for a signal that says it spans another number of steps.
    """
    if signal.steps != steps:
        raise ContractError(f"{who} returned a signal over {signal.steps} steps, but T is {steps}")
    for what, tensor in (("values", signal.values), ("a coefficient", signal.coefficient)):
        if tensor is not None and tensor.shape[0] not in (1, steps):
            raise ContractError(
                f"{who} returned {what} of {tensor.shape[0]} steps; T is {steps}, so it must be {steps}, "
                "or 1 for what is constant over time"
            )
    return signal


def over_time(coefficient: Tensor, values: Tensor) -> Tensor:
    """View a coefficient ``(T,)`` or ``(T, C)`` so that it broadcasts over ``values`` ``(T, B, C, ...)``."""
    steps, *channels = coefficient.shape
    return coefficient.view(steps, 1, *channels, *[1] * (values.dim() - 2 - len(channels)))


def _by_channel(coefficient: Tensor) -> Tensor:
    return coefficient if coefficient.dim() == 2 else coefficient.unsqueeze(1)
