"""Signals: the values on an edge of a spiking network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import torch
from torch import Tensor

from spikefront.plugins.network.operations import Operations


class ContractError(ValueError):
    """A plugin breaks its contract in a way that would falsify the numbers of its candidate."""


class Kind(StrEnum):
    """The values an edge declares to carry, which decides what its synapses cost.

    Declared by the module that produces the edge and checked by the op counter; never guessed from values.
    """

    BINARY = "binary"  # {0, 1}: an accumulate per event and synapse
    TERNARY = "ternary"  # {-1, 0, 1}: an add or subtract per event and synapse
    COUNT = "count"  # {0, 1, 2, ...}: spikes that arrive together, each an accumulate per synapse
    SIGNED = "signed"  # {..., -1, 0, 1, ...}: what is left of ternary spikes that meet, each an add or subtract
    POWER = "power"  # 0 or +-2^k: a shift and an accumulate per event and synapse
    ANALOG = "analog"  # anything: a multiply-accumulate per non-zero value and synapse


@dataclass(frozen=True, slots=True)
class Events:
    """Non-zero values that wait, behind average pooling, for the synapse that they will be charged to.

    Attributes:
        count: non-zero values by step and position, summed over the batch, ``(T, C, H, W)``; ``(1, C, H, W)`` of values
            that are constant over time.
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
        coefficient: optional weight of each step, shape ``(T,)``, of each step and channel, ``(T, C)``, or of each
            step and sample, ``(T, B, 1)``; the edge carries ``coefficient[t] * values[t]``. Here too a leading 1 means
            constant over time. A synapse behind such an edge stays accumulate-only: what is the same for all steps and
            samples folds into its weights, what is not costs a product per output and step (``weighting``), a shift
            where it is a power of two. What differs by sample and
            channel doesn't commute with the weights: multiply the values by it, and the edge is analog.
        delay: steps by which the first value lags the network's input, physically: neurons with a silent period add
            theirs. Values are aligned by index all the same, so sums of edges need no care.
        events: set by the op counter behind average pooling; None elsewhere.
        route: set by the counter of a chip's traffic: where the values come from; None elsewhere.
        changes: whether ``values`` are changes from step to step: the edge carries their running sum, times the
            coefficient. A synapse behind it is driven by the changes, and holds what it has summed (``accumulation``).
    """

    values: Tensor
    steps: int
    kind: Kind
    coefficient: Tensor | None = None
    delay: int = 0
    events: Events | None = None
    route: Any = None
    changes: bool = False

    def with_values(self, values: Tensor) -> Signal:
        """Return the same edge carrying other values."""
        return replace(self, values=values)

    def first(self, steps: int) -> Signal:
        """Return the first steps of the signal; what is constant over time stays so.

        Args:
            steps: how many, at least 1; the signal itself is returned where it has no more than these.
        """
        if steps >= self.steps:
            return self
        events = self.events and replace(self.events, count=self.events.count[:steps])
        coefficient = None if self.coefficient is None else self.coefficient[:steps]
        return replace(self, values=self.values[:steps], steps=steps, coefficient=coefficient, events=events)

    def sample(self, number: int) -> Signal:
        """Return the signal of one sample, as a batch of one; not behind average pooling that is being counted."""
        return self.samples(slice(number, number + 1))

    def samples(self, which: slice) -> Signal:
        """Return the signal of some samples; not behind average pooling that is being counted."""
        coefficient = self.coefficient
        if coefficient is not None and coefficient.dim() == 3:
            coefficient = coefficient[:, which]
        return replace(self, values=self.values[:, which], coefficient=coefficient)

    def current(self, values: Tensor) -> Signal:
        """Return the analog signal of a synapse that this signal drove."""
        return Signal(values, self.steps, Kind.ANALOG, delay=self.delay, route=self.route)

    def weighted(self, coefficient: Tensor) -> Signal:
        """Return the same edge with a further coefficient, ``(T|1,)``, ``(T|1, C)`` or ``(T|1, B, 1)``.

        It is analog where one differs by channel and the other by sample, and where the sum of changes is weighted by
        anything but a constant.
        """
        if self.changes and (len(coefficient) > 1 or coefficient.dim() > 2):
            summed = replace(self, values=self.decoded(), kind=Kind.ANALOG, coefficient=None, changes=False)
            return summed.weighted(coefficient)
        if self.coefficient is None:
            return replace(self, coefficient=_checked(coefficient, self.values))
        rank = max(self.coefficient.dim(), coefficient.dim())
        both = _promoted(self.coefficient, rank) * _promoted(_checked(coefficient, self.values), rank)
        if rank == 3 and both.shape[2] > 1:
            values = self.decoded() * over_time(coefficient, self.values)
            return replace(self, values=values, kind=Kind.ANALOG, coefficient=None)
        return replace(self, coefficient=both)

    def decoded(self) -> Tensor:
        """Return what the edge carries, shape ``(T, B, ...)`` or ``(1, B, ...)``: summed changes, then weighted."""
        values = self.values.cumsum(0) if self.changes else self.values  # whole numbers, whose sum is exact
        return values if self.coefficient is None else values * over_time(self.coefficient, values)

    def received(self) -> Tensor:
        """Return what a synapse receives in each step, once constants have been folded into its weights."""
        return self.values if self._is_constant() else self.decoded()

    def accumulation(self, outputs: int) -> Operations:
        """Return the operations of summing changes in ``outputs`` values: an addition for each, per step and sample."""
        return Operations(adds=self.steps * self.values.shape[1] * outputs if self.changes else 0)

    def weighted_steps(self) -> int:
        """Return at how many steps a coefficient that doesn't fold into weights is anything but 0 or 1."""
        return int((self._products() > 0).any(1).sum())

    def weightings(self) -> int:
        """Return the same summed over the samples: products that a synapse needs per output, shifts included."""
        return 0 if self._is_constant() else int((self._products() > 0).sum())

    def weighting(self, outputs: int) -> Operations:
        """Return the operations of weighting ``outputs`` values per step and sample by the coefficient.

        By the rule of ``product_by``. What is the same at all steps, and so a constant, folds into the weights behind;
        so does the common factor of a coefficient that is a power of two at each step but for it. A coefficient by
        sample is made while the network runs: any value of it but 0 and 1 is a multiplication.
        """
        if self._is_constant():
            return Operations()
        return self._weighting(torch.ones_like(self._products(), dtype=torch.int64) * outputs)

    def weighting_of_events(self) -> Operations:
        """Return the operations of weighting the values that are not 0, one by one."""
        return self._weighting((self.values != 0).flatten(2).sum(2))

    def _weighting(self, values: Tensor) -> Operations:
        """Return the operations of weighting so many values of each step and sample, ``(T|1, B)``."""
        products = self._products()
        shifts, multiplies = (int((values * (products == price)).sum()) for price in (_SHIFT, _MULTIPLICATION))
        return Operations(multiplies=multiplies, shifts=shifts)

    def _is_constant(self) -> bool:
        """Return whether there is no coefficient but one that folds into the weights behind."""
        return self.coefficient is None or (len(self.coefficient) == 1 and self.coefficient.dim() < 3)

    def _products(self) -> Tensor:
        """Return what the coefficient costs at each step and sample: 0, a shift or a multiplication, ``(T|1, B)``."""
        coefficient, samples = self.coefficient, self.values.shape[1]
        if coefficient is None or self._is_constant():
            return self.values.new_zeros((1, samples), dtype=torch.int8)
        if coefficient.dim() == 3:
            products = _MULTIPLICATION * ((coefficient != 0) & (coefficient != 1)).any(2).to(torch.int8)
        else:
            products = _priced(_promoted(coefficient.detach(), 2)).unsqueeze(1)
        return products.expand(max(len(coefficient), len(self.values)), samples)


_SHIFT: Final = 1
_MULTIPLICATION: Final = 2


def _priced(coefficient: Tensor) -> Tensor:
    """Return what each step of a coefficient ``(T, C)`` costs, ``(T,)``: that of its most expensive channel."""
    used = coefficient != 0
    first = coefficient.gather(0, used.int().argmax(0, keepdim=True))  # of each channel, the first that is not 0
    constant = ((coefficient == first) | ~used).all(0)
    ratio = coefficient / first
    folds = (_powers_of_two(ratio) | ~used).all(0) & ~(_powers_of_two(coefficient) | ~used).all(0)
    factors = torch.where(folds, ratio, coefficient)
    free = constant | ~used | (factors.abs() == 1)
    prices = torch.where(_powers_of_two(factors), _SHIFT, _MULTIPLICATION)
    return torch.where(free, 0, prices).amax(1).to(torch.int8)


def _powers_of_two(values: Tensor) -> Tensor:
    return torch.frexp(values).mantissa.abs() == 0.5


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
    if signal.coefficient is not None:
        _checked(signal.coefficient, signal.values, who)
    return signal


def over_time(coefficient: Tensor, values: Tensor) -> Tensor:
    """View a coefficient ``(T,)``, ``(T, C)`` or ``(T, B, 1)`` so that it broadcasts over values ``(T, B, C, ...)``."""
    promoted = _promoted(coefficient, 3)
    return promoted.view(*promoted.shape, *[1] * (values.dim() - 3))


def _promoted(coefficient: Tensor, rank: int) -> Tensor:
    """View a coefficient as one of each step and channel (2), or of each step, sample and channel (3)."""
    if coefficient.dim() < rank == 3:
        return _promoted(coefficient, 2).unsqueeze(1)
    return coefficient.unsqueeze(1) if coefficient.dim() < rank else coefficient


def _checked(coefficient: Tensor, values: Tensor, who: str = "a plugin") -> Tensor:
    """Return a coefficient that has the shape of one.

    Raises:
        ContractError: it has another shape.
    """
    samples, channels = values.shape[1:3]
    fits = coefficient.dim() == 1
    fits |= coefficient.dim() == 2 and coefficient.shape[1] in (1, channels)
    fits |= coefficient.dim() == 3 and coefficient.shape[1:] == (samples, 1)
    if not fits:
        raise ContractError(
            f"{who} returned a coefficient of shape {tuple(coefficient.shape)} for {samples} samples of {channels} "
            "channels; it is (T,), (T, C) or, by sample, (T, B, 1), with T or 1 first"
        )
    return coefficient
