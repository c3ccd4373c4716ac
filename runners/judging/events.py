"""Values on edges, as the op counter needs them: whether they are of the declared kind, and how many events they are.

Zeros and ones are summed as floats, many times as fast in torch as booleans and whole numbers are. No sum of float32
goes beyond 2^24, up to which all whole numbers are exact.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from spikefront.plugins import ContractError, Kind, Signal

_EXACT: Final = 2**24
"""Whole numbers that float32 holds, from 0 on."""


class EdgeKindError(ContractError):
    """An edge carries values of another kind than declared: a bug of the plugin, which would falsify the energy."""


def check_kind(signal: Signal, name: str) -> None:
    """Raise ``EdgeKindError`` when the values into ``name`` are not of the declared kind."""
    if signal.events is not None or signal.kind is Kind.ANALOG:  # pooled events were checked in front of the pooling
        return
    values = signal.values
    if _holds_zeros_and_ones(values, signal.kind):
        return
    wrong = {
        Kind.BINARY: lambda: (values != 0) & (values != 1),
        Kind.TERNARY: lambda: (values != 0) & (values.abs() != 1),
        Kind.COUNT: lambda: (values < 0) | (values != values.round()),
        Kind.SIGNED: lambda: values != values.round(),
        Kind.POWER: lambda: (values != 0) & (torch.frexp(values).mantissa.abs() != 0.5),
    }[signal.kind]()
    if wrong.any():
        example = signal.values[wrong][0].item()
        raise EdgeKindError(f"the edge into {name} is declared {signal.kind} but carries {example:g}")


def _holds_zeros_and_ones(values: Tensor, kind: Kind) -> bool:
    """Return whether all values of a binary edge are 0 or 1, of a ternary one -1, 0 or 1: roots of a polynomial."""
    if kind not in (Kind.BINARY, Kind.TERNARY) or not values.is_floating_point():
        return False
    rest = values - 1 if kind is Kind.BINARY else values * values - 1
    return bool(rest.mul_(values).abs_().amax() == 0)  # of anything else it is neither, NaN and infinity included


def event_numbers(signal: Signal) -> Tensor:
    """Return the number of events of each value."""
    return signal.values.abs().long() if _several(signal.kind) else signal.values != 0


def nonzero_by_step(values: Tensor) -> Tensor:
    """Return how many values are not 0, by step, ``(T|1,)``."""
    inner = tuple(range(1, values.dim()))
    if values[0].numel() > _EXACT:
        return torch.count_nonzero(values, inner)
    return _ones(values).sum(inner).long()


def events_by_step(signal: Signal) -> Tensor:
    """Return the number of events by step, ``(T|1,)``."""
    values = signal.values
    if _several(signal.kind):
        return values.abs().sum(tuple(range(1, values.dim())), dtype=torch.float64).long()
    return nonzero_by_step(values)


def events_by_place(signal: Signal) -> Tensor:
    """Return the number of events by step and place, summed over the batch: of ``(T|1, B, ...)`` ``(T|1, ...)``."""
    values = signal.values
    if _several(signal.kind):
        return values.abs().sum(1, dtype=torch.float64).long()
    if values.dim() == 5 and values.permute(0, 1, 3, 4, 2).is_contiguous():  # channels last: summed in that order
        return _ones(values.permute(0, 1, 3, 4, 2)).sum(1).permute(0, 3, 1, 2).long()
    return _ones(values).sum(1).long()


def _ones(values: Tensor) -> Tensor:
    """Return 1 where a value is not 0, and 0 elsewhere, as float32."""
    return torch.ne(values, 0, out=torch.empty_like(values, dtype=torch.float32))


def _several(kind: Kind) -> bool:
    """Return whether a value of this kind may be several events."""
    return kind in (Kind.COUNT, Kind.SIGNED)
