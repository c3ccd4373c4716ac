"""Events of an edge, against booleans and whole numbers summed one way only."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind, Signal
from spikefront.runners.judging import events
from spikefront.runners.judging.events import (
    EdgeKindError,
    check_kind,
    event_numbers,
    events_by_place,
    events_by_step,
    nonzero_by_step,
)

VALUES = {
    Kind.BINARY: (0.0, 1.0),
    Kind.TERNARY: (-1.0, 0.0, 1.0),
    Kind.COUNT: (0.0, 1.0, 2.0, 7.0),
    Kind.SIGNED: (-3.0, 0.0, 2.0),
    Kind.POWER: (0.0, -2.0, 0.25),
    Kind.ANALOG: (0.0, 0.3, -1e-40, math.inf),
}
SHAPES = [(4, 5, 7), (1, 5, 3, 6, 2), (3, 130, 4, 5, 5)]


def edge(kind: Kind, shape: tuple[int, ...], layout: str) -> Signal:
    """Return an edge that carries all values that its kind may, in one of the layouts that layers leave behind."""
    generator = torch.Generator().manual_seed(4)
    values = torch.tensor(VALUES[kind])[torch.randint(len(VALUES[kind]), shape, generator=generator)]
    if layout == "channels last" and values.dim() == 5:
        values = values.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    if layout == "gaps":
        values = torch.stack([values, values + 1], -1)[..., 0]
    return Signal(values, 4, kind)


@pytest.mark.parametrize("layout", ["plain", "channels last", "gaps"])
@pytest.mark.parametrize("kind", VALUES)
def test_sums_are_those_of_the_events_of_each_value(kind: Kind, layout: str) -> None:
    for shape in SHAPES:
        signal = edge(kind, shape, layout)
        check_kind(signal, "here")
        one_by_one = event_numbers(signal).long()
        assert torch.equal(events_by_step(signal), one_by_one.flatten(1).sum(1))
        assert torch.equal(events_by_place(signal), one_by_one.sum(1))
        assert torch.equal(nonzero_by_step(signal.values), (signal.values != 0).flatten(1).sum(1))


def test_more_values_than_float32_counts_are_counted_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_EXACT", 8)  # so that a small tensor is a large one
    values = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]).repeat(1, 4).unsqueeze(1)
    assert nonzero_by_step(values).tolist() == [8, 4]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((Kind.BINARY, value) for value in (-1.0, 1 + 2**-23, 1 - 2**-24, 1e-45, -1e-45, 2.0, math.inf, math.nan)),
        *((Kind.TERNARY, value) for value in (2.0, 1 + 2**-23, -1 + 2**-24, 1e-45, 1e30, -math.inf, math.nan)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_wrong_value_of_many_is_refused(kind: Kind, wrong: float, dtype: torch.dtype) -> None:
    values: Tensor = edge(kind, (2, 3, 4, 5, 5), "channels last").values.to(dtype)
    values[1, 2, 3, 4, 0] = wrong
    with pytest.raises(EdgeKindError, match=f"the edge into here is declared {kind} but carries"):
        check_kind(Signal(values, 2, kind), "here")
