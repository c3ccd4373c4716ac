"""Stages of a forward pass, and the properties that two passes must share: no state, no mixed samples, no future.

Each property compares two passes stage by stage, in their order, so that the first stage at which they differ is that
of the plugin which is at fault. The passes have the same shapes and seeds, so whatever does not depend on what was
changed is the same bit by bit; rounding ends a comparison, since a spike that it turns would look like a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins.network.signal import ContractError

ROUNDING: Final = 1e-5
"""Largest difference, relative to the largest value, that is taken for rounding."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one part of a network returned in a forward pass.

    Attributes:
        part: the plugin, and where, such as ``neuron 'lif' of spiking layer 2``.
        values: ``(T, B, ...)``, or ``(1, B, ...)`` for what is constant over time.
        delay: steps by which the values lag the network's input; None for values without time, ``(1, B, ...)``.
    """

    part: str
    values: Tensor
    delay: int | None = 0


Pass = Sequence[Stage]


def refuse_state(first: Pass, again: Pass) -> None:
    """Check that the same input gave the same values twice.

    Raises:
        ContractError: when it did not.
    """
    _compare(
        first,
        again,
        lambda stage: stage.values,
        "keeps state between calls: the same input and seed gave other values the second time",
    )


def refuse_mixed_samples(first: Pass, other: Pass, kept: Sequence[int]) -> None:
    """Check that samples gave the same values beside other samples.

    Args:
        first: a pass.
        other: a pass on a batch of the same size, in which all samples but ``kept`` are others.
        kept: numbers of the samples that both have.

    Raises:
        ContractError: when they did not.
    """
    index = list(kept)
    _compare(
        first,
        other,
        lambda stage: stage.values[:, index],
        "mixes the samples of a batch at inference: a sample gave other values beside other samples",
    )


def refuse_lookahead(first: Pass, other: Pass, samples: Sequence[int], changed: int) -> None:
    """Check that values depend on no later step of the input than their delay says.

    Args:
        first: a pass.
        other: a pass in which ``samples`` have another input from step ``changed`` on.
        samples: their numbers.
        changed: number of the first step that differs, from 0.

    Raises:
        ContractError: when they do.
    """
    index = list(samples)

    def early(stage: Stage) -> Tensor:
        steps = 0 if stage.delay is None else max(0, changed - stage.delay)
        return stage.values[:steps, index]

    _compare(
        first, other, early, "sees the future: its values change with later steps of the input than its delay says"
    )


def refuse_negative_delay(stages: Pass) -> None:
    """Check that no part answers before it is asked.

    Raises:
        ContractError: when a delay is negative or not whole.
    """
    for stage in stages:
        if stage.delay is not None and (stage.delay < 0 or stage.delay != int(stage.delay)):
            raise ContractError(f"{stage.part} has a delay of {stage.delay} steps; it must be 0 or more, and whole")


def _compare(first: Pass, other: Pass, part: Callable[[Stage], Tensor], problem: str) -> None:
    for one, two in zip(first, other, strict=False):
        difference = _difference(part(one), part(two))
        if difference > ROUNDING:
            raise ContractError(f"{one.part} {problem}")
        if difference > 0:
            return


def _difference(one: Tensor, two: Tensor) -> float:
    """Return the largest difference relative to the largest value; 0 for values that are not numbers in both."""
    if one.shape != two.shape:
        return float("inf")
    if torch.equal(one, two):
        return 0.0
    one, two = one.to(torch.float64), two.to(torch.float64)
    gap = (one - two).abs()
    gap[(one == two) | (one.isnan() & two.isnan())] = 0.0  # infinities, too
    largest = float(torch.stack((one, two)).nan_to_num(0.0, 0.0, 0.0).abs().max())
    relative = gap.nan_to_num(float("inf"), float("inf")).max() / max(largest, 1e-30)
    return float(relative)
