from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import Kind
from spikefront.plugins.codings.burst import Burst, BurstConfig, graded, multi_spike

intensities = st.floats(0, 1, width=32)
thresholds = st.sampled_from([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])


def test_hand_computed_numbers_of_spikes() -> None:
    # V before sending: 0.75, 1.0, 0.75, 1.0
    assert multi_spike(torch.tensor(0.75), steps=4, threshold=0.5, max_spikes=2).tolist() == [1, 2, 1, 2]
    # one spike per step at most: the rest piles up
    assert multi_spike(torch.tensor(0.75), steps=4, threshold=0.5, max_spikes=1).tolist() == [1, 1, 1, 1]


def test_hand_computed_burst_doubles_and_starts_again_after_a_silent_step() -> None:
    # V before sending: 3/8, 5/8, 6/8, 5/8, 7/8, 9/8; strength: 1/8, 1/4, 1/2, 1 (silent), 1/8, 1/4
    sent = graded(torch.tensor(0.375), steps=6, threshold=0.125)
    assert sent.tolist() == [0.125, 0.25, 0.5, 0, 0.125, 0.25]


@given(x=intensities, steps=st.integers(1, 24), threshold=thresholds, max_spikes=st.integers(1, 5))
def test_numbers_of_spikes_follow_the_definition(x: float, steps: int, threshold: float, max_spikes: int) -> None:
    spikes = multi_spike(torch.tensor(x, dtype=torch.float64), steps=steps, threshold=threshold, max_spikes=max_spikes)
    charge = 0.0
    for sent in spikes.tolist():
        charge += x
        assert sent == min(max_spikes, math.floor(charge / threshold))
        charge -= sent * threshold
    if x <= max_spikes * threshold:  # keeps up
        assert 0 <= steps * x - threshold * spikes.sum().item() < threshold


@given(x=intensities, steps=st.integers(1, 24), threshold=thresholds)
def test_strengths_follow_the_definition(x: float, steps: int, threshold: float) -> None:
    sent = graded(torch.tensor(x, dtype=torch.float64), steps=steps, threshold=threshold).tolist()
    charge, gain = 0.0, 1
    for value in sent:
        charge += x
        fires = charge >= gain * threshold
        assert value == (gain * threshold if fires else 0)
        charge -= value
        gain = 2 * gain if fires else 1
    assert steps * x - sum(sent) == pytest.approx(charge, abs=1e-9)
    assert charge >= 0


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3])
def test_rounding_never_makes_a_negative_number_of_spikes(threshold: float) -> None:
    spikes = multi_spike(torch.linspace(0, 1, 10_001), steps=32, threshold=threshold, max_spikes=5)
    assert spikes.min() >= 0
    assert spikes.max() <= 5


def test_spikes_of_one_step_are_a_count_that_is_worth_the_threshold() -> None:
    x = torch.tensor([[0.0, 0.3, 1.0]])
    signal = Burst(BurstConfig(burst="multi-spike", threshold=0.25, max_spikes=4), steps=8).encode(x)
    assert signal.kind is Kind.COUNT
    assert signal.coefficient is not None
    assert signal.coefficient.tolist() == [0.25]
    assert signal.decoded().sum(0).tolist() == [[0, 2.25, 8]]  # 8 x 0.3 = 2.4, in quarters


def test_graded_spikes_are_powers_of_two_times_the_threshold() -> None:
    x = torch.rand(2, 3)
    signal = Burst(BurstConfig(burst="graded", threshold=0.125), steps=6).encode(x)
    assert (signal.kind, signal.coefficient) == (Kind.POWER, torch.tensor([0.125]))
    assert torch.equal(signal.decoded(), graded(x, steps=6, threshold=0.125))
    assert set(signal.values.unique().log2().tolist()) <= {float("-inf"), *range(6)}
