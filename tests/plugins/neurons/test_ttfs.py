from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikefront.plugins.neurons.ttfs import TTFS, TTFSConfig, comparisons
from spikefront.plugins.surrogates.atan import ATan


def levels_of(spikes: Tensor) -> Tensor:
    worth = torch.arange(len(spikes), 0, -1.0, dtype=spikes.dtype)
    return torch.einsum("t,t...->...", worth, spikes)


def neuron(rounding: float = 0.5) -> TTFS:
    return TTFS(TTFSConfig(rounding), surrogate=ATan())


@pytest.mark.parametrize("rounding", [0.0, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 5, 16])
def test_equals_the_ramp_and_the_falling_threshold_step_by_step(steps: int, rounding: float) -> None:
    torch.manual_seed(0)
    current = torch.randn(steps, 2, 60, dtype=torch.float64)
    expected = torch.zeros_like(current)
    for b in range(2):
        for i in range(60):
            slope = potential = 0.0
            for t in range(steps):
                slope += current[t, b, i].item()
                potential += slope
            for t in range(steps):
                if potential + rounding >= steps - t:
                    expected[t, b, i] = 1
                    break
    assert torch.equal(neuron(rounding)(current, steps), expected)


def test_level_is_the_rounded_potential() -> None:
    z = torch.tensor([0, 0.06, 0.0625, 0.5, 0.96875, 1, 1.3], dtype=torch.float64)
    current = torch.zeros(8, 1, 7, dtype=torch.float64)
    current[0], current[1] = 8 * z, -8 * z  # a potential of 8 z
    spikes = neuron()(current, 8)
    assert levels_of(spikes)[0].tolist() == [0, 0, 1, 4, 8, 8, 8]
    first = spikes[:, 0].argmax(0).tolist()
    fires = spikes[:, 0].any(0).tolist()
    assert [t if fired else None for t, fired in zip(first, fires, strict=True)] == [None, None, 7, 4, 0, 0, 0]


def test_twice_the_levels_refine_a_level() -> None:
    z = torch.rand(1, 200, dtype=torch.float64) * 1.2 - 0.1
    found = []
    for steps in (16, 8):
        current = torch.zeros(steps, 1, 200, dtype=torch.float64)
        current[0], current[1] = steps * z, -steps * z
        found.append(levels_of(neuron(0.0)(current, steps)))
    assert torch.equal(found[0] // 2, found[1])


def test_whole_parts_of_a_level_do_not_depend_on_rounding_of_floats() -> None:
    """A potential of 3.5 levels, short of it by less than half a part, is one of 3.5."""
    one = neuron()
    current = torch.zeros(8, 1, 2, dtype=torch.float64)
    current[0] = torch.tensor([3.5 - 1e-6, 3.5 - 0.06])
    current[1] = -current[0]
    assert levels_of(one(current, 8))[0].tolist() == [3, 3]
    one.parts = torch.tensor([[16.0]])
    assert levels_of(one(current, 8))[0].tolist() == [4, 3]


def test_comparisons_end_with_the_spike() -> None:
    spikes = torch.zeros(8, 1, 3)
    spikes[0, 0, 0] = spikes[5, 0, 1] = 1
    assert comparisons(spikes) == 1 + 6 + 8


def test_gradient_of_what_reads_levels_is_that_of_a_clamp() -> None:
    """Straight through: the gradient of any linear function of the levels, where they are not cut off."""
    torch.manual_seed(0)
    current = torch.randn(6, 3, 20, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 20, dtype=torch.float64)
    (levels_of(neuron()(current, 6)) * weight).sum().backward()
    potential = levels_of(current.detach())  # the ramp adds what comes at a step as often
    inside = (potential >= 0) & (potential <= 6)
    worth = torch.arange(6, 0, -1.0, dtype=torch.float64).view(6, 1, 1)
    assert inside.any()
    assert not inside.all()
    torch.testing.assert_close(current.grad, worth * weight * inside)
