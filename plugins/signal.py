"""What flows on an edge of a spiking network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from torch import Tensor


class Kind(StrEnum):
    """The values an edge declares to carry, which decides what its synapses cost.

    Declared by the module that produces the edge and checked by the op counter; never guessed from values.
    """

    BINARY = "binary"  # {0, 1}: an accumulate per event and synapse
    TERNARY = "ternary"  # {-1, 0, 1}: an add or subtract per event and synapse
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
        coefficient: optional weight of each step, shape ``(T,)``; the edge carries ``coefficient[t] * values[t]``. It
            commutes with a synapse, which therefore stays accumulate-only and pays one multiply per output and step.
        events: set by the op counter behind average pooling; None elsewhere.
    """

    values: Tensor
    steps: int
    kind: Kind
    coefficient: Tensor | None = None
    events: Events | None = None

    def with_values(self, values: Tensor) -> Signal:
        """Return the same edge carrying other values."""
        return replace(self, values=values)

    def current(self, values: Tensor) -> Signal:
        """Return the analog signal of a synapse that this signal drove."""
        return Signal(values, self.steps, Kind.ANALOG)

    def decoded(self) -> Tensor:
        """Return the values with the coefficient applied, shape ``(T, B, ...)`` or ``(1, B, ...)``."""
        if self.coefficient is None:
            return self.values
        return self.values * over_time(self.coefficient, self.values)


def over_time(coefficient: Tensor, values: Tensor) -> Tensor:
    """View a per-step coefficient ``(T,)`` so that it broadcasts over ``values`` ``(T, B, ...)``."""
    return coefficient.view(-1, *[1] * (values.dim() - 1))
