from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import Kind
from spikefront.plugins.codings.rate import Rate, RateConfig, bernoulli, deterministic

intensities = st.floats(0, 1, width=32)


@given(x=intensities, steps=st.integers(1, 64))
def test_spike_count_is_within_half_a_spike_of_the_ideal(x: float, steps: int) -> None:
    spikes = deterministic(torch.tensor(x), steps=steps)
    assert set(spikes.tolist()) <= {0.0, 1.0}
    assert abs(spikes.sum().item() - steps * x) <= 0.5 + 1e-5 * steps


@given(x=intensities)
def test_every_prefix_is_as_close(x: float) -> None:
    counts = deterministic(torch.tensor(x), steps=32).cumsum(0)
    ideal = x * torch.arange(1, 33)
    assert (counts - ideal).abs().max() <= 0.5 + 1e-4


def test_hand_computed_spacing() -> None:
    x = torch.tensor([0.0, 0.25, 0.5, 1.0])
    # t x + 1/2 crosses a whole number at t = 2, 6 for 1/4 and at t = 1, 3, 5, 7 for 1/2
    assert deterministic(x, steps=8).T.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 1, 0, 0],
        [1, 0, 1, 0, 1, 0, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("x", [0.05, 0.3, 0.5, 0.9])
def test_bernoulli_mean_is_the_probability(x: float) -> None:
    torch.manual_seed(0)
    spikes = bernoulli(torch.full((500,), x), steps=32)
    assert abs(spikes.mean().item() - x) < 4 * math.sqrt(x * (1 - x) / spikes.numel())


def test_bernoulli_steps_are_independent() -> None:
    torch.manual_seed(0)
    spikes = bernoulli(torch.full((20_000,), 0.5), steps=2)
    both = (spikes[0] * spikes[1]).mean().item()
    assert abs(both - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 20_000)


def test_certain_inputs_are_certain() -> None:
    for encode in (bernoulli, deterministic):
        assert encode(torch.ones(1000), steps=8).all()
        assert not encode(torch.zeros(1000), steps=8).any()


def test_config_chooses_how_spikes_are_placed() -> None:
    x = torch.full((1, 50), 0.5)
    signal = Rate(RateConfig(spikes="deterministic"), steps=8).encode(x)
    assert (signal.kind, signal.steps) == (Kind.BINARY, 8)
    assert torch.equal(signal.values, deterministic(x, steps=8))
    torch.manual_seed(0)
    drawn = Rate(RateConfig(spikes="bernoulli"), steps=8).encode(x).values
    torch.manual_seed(0)
    assert torch.equal(drawn, bernoulli(x, steps=8))
