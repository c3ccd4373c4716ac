from __future__ import annotations

import torch

from spikefront.plugins import Kind
from spikefront.plugins.codings.direct import Direct


def test_input_is_constant_and_analog() -> None:
    x = torch.rand(3, 1, 4, 4)
    signal = Direct(steps=6).encode(x)
    assert signal.values.shape == (1, 3, 1, 4, 4)
    assert (signal.kind, signal.steps) == (Kind.ANALOG, 6)
    assert torch.equal(signal.values[0], x)


def test_nothing_is_learnt() -> None:
    assert not list(Direct(steps=4).parameters())
