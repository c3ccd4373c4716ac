from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import Kind
from spikefront.plugins.codings.phase import PhaseCoding, PhaseCodingConfig, phase

intensities = st.floats(0, 1, width=32)


@given(x=intensities, period=st.integers(1, 12))
def test_round_trip_loses_less_than_the_last_digit(x: float, period: int) -> None:
    digits = phase(torch.tensor(x), steps=period, period=period)
    value = sum(digit / 2 ** (k + 1) for k, digit in enumerate(digits.tolist()))
    assert value == int(min(x, 1 - 2**-period) * 2**period) / 2**period
    assert 0 <= x - value <= 2**-period
    assert x == 1 or x - value < 2**-period


@given(x=intensities, period=st.integers(1, 12))
def test_rounding_to_the_nearest_halves_the_loss(x: float, period: int) -> None:
    digits = phase(torch.tensor(x), steps=period, period=period, rounding="nearest")
    value = sum(digit / 2 ** (k + 1) for k, digit in enumerate(digits.tolist()))
    assert abs(min(x, 1 - 2**-period) - value) <= 2 ** -(period + 1)


def test_hand_computed_digits() -> None:
    x = torch.tensor([0.8125, 0.0, 1.0, 0.5])  # 13/16, nothing, clamped to 15/16, one half
    assert phase(x, steps=4, period=4).T.tolist() == [[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


def test_digits_repeat_and_the_last_period_may_be_cut_short() -> None:
    assert phase(torch.tensor(0.75), steps=8, period=3).tolist() == [1, 1, 0, 1, 1, 0, 1, 1]


def test_digits_are_spikingjellys() -> None:
    theirs = pytest.importorskip("spikingjelly.activation_based.encoding")
    x = torch.cat((torch.rand(500), torch.arange(256) / 256)).clamp_max(1 - 2**-8)
    expected = theirs.WeightedPhaseEncoder(K=8).single_step_encode(x)
    assert torch.equal(phase(x, steps=8, period=8), expected)


@pytest.mark.parametrize(("steps", "period", "used"), [(8, 4, 4), (4, 8, 4), (16, 8, 8)])
def test_edge_is_binary_and_decodes_to_the_input_once_per_period(steps: int, period: int, used: int) -> None:
    x = torch.rand(2, 3)
    signal = PhaseCoding(PhaseCodingConfig(period=period), steps=steps).encode(x)
    assert signal.kind is Kind.BINARY
    assert signal.coefficient is not None
    assert signal.coefficient.tolist() == [2.0 ** -(1 + t % used) for t in range(steps)]
    mean_of_a_period = signal.decoded().sum(0) / (steps // used)
    assert (x - mean_of_a_period).min() >= 0
    assert (x - mean_of_a_period).max() < 2**-used


def test_config_chooses_the_rounding() -> None:
    x = torch.tensor([[0.99 * 0.5]])
    for rounding, level in (("down", 1), ("nearest", 2)):
        coding = PhaseCoding(PhaseCodingConfig(period=2, rounding=rounding), steps=2)
        assert coding.encode(x).decoded().sum().item() == level / 4
