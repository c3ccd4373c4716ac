from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikefront.plugins import Operations
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.rectangle import Rectangle

CONFIGS = [
    TSAConfig(base, silent_period, ternary, fire_ratio, 0.8, relu)
    for base, silent_period, (ternary, fire_ratio), relu in product(
        (2.0, 1.3, 2.7), (0, 1, 2), ((True, 0.5), (True, 0.7), (False, 0.5)), (True, False)
    )
]

configs = st.builds(
    TSAConfig,
    base=st.floats(1.2, 3.0),
    silent_period=st.integers(0, 2),
    ternary=st.booleans(),
    fire_ratio=st.floats(0.4, 0.75),
    threshold=st.floats(0.3, 2.0),
    relu=st.booleans(),
)
seeds = st.integers(0, 2**32)


def neuron(**hyperparameters: Any) -> TSA:
    return TSA(TSAConfig(**hyperparameters), surrogate=ATan())


def decode(digits: Tensor, base: float = 2.0) -> Tensor:
    """Return ``sum_k base^-k digits[k]``, k from 1."""
    weights = torch.tensor([base**-k for k in range(1, len(digits) + 1)], dtype=digits.dtype)
    return (digits * weights.view(-1, *[1] * (digits.dim() - 1))).sum(0)


def encode(values: Tensor, steps: int, **hyperparameters: Any) -> Tensor:
    """Return the digits that base-2 neurons emit of values loaded at once; shape ``(T, 1, N)``."""
    current = torch.zeros(steps, 1, len(values), dtype=torch.float64)
    current[0] = 2 * values  # the first digit counts half
    digits: Tensor = neuron(silent_period=0, **hyperparameters)(current, steps)
    return digits


def digits_of(current: list[float], config: TSAConfig) -> list[int]:
    """The equations of the paper for one neuron; its ReLU rule is O <= 0, which bases below 2 need tightened."""
    theta = config.threshold * config.base**config.silent_period
    ratio = config.fire_ratio if config.ternary else 1.0
    v, o, digits = 0.0, 0.0, []
    for n in range(1, len(current) + config.silent_period + 1):
        v = config.base * v + (current[n - 1] if n <= len(current) else 0.0)
        if n <= config.silent_period:
            continue
        s = 0
        if v >= ratio * theta:
            s = 1
        elif config.ternary and v <= -ratio * theta:
            s = -1
        if config.relu and s == -1 and (o <= 0 if config.base >= 2 else config.base * o - 1 < 0):
            s = 0
        v -= s * theta
        o = config.base * o + s
        digits.append(s)
    return digits


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
@pytest.mark.parametrize("length", [1, 7], ids=["constant", "changing"])
def test_equals_the_equations_neuron_by_neuron(config: TSAConfig, length: int) -> None:
    torch.manual_seed(0)
    current = torch.randn(length, 2, 60, dtype=torch.float64)
    digits = TSA(config, surrogate=ATan())(current, 7)
    inputs = current.expand(7, -1, -1).flatten(1).T.tolist()
    assert digits.flatten(1).T.tolist() == [digits_of(one, config) for one in inputs]
    if length > 1:  # a constant current may never call for a negative digit
        assert set(digits.unique().tolist()) == ({-1, 0, 1} if config.ternary else {0, 1})


def smooth_digits(current: Tensor, config: TSAConfig) -> Tensor:
    """The equations with the primitive of ATan(2) behind each step, for autograd."""
    theta = config.threshold * config.base**config.silent_period
    ratio = config.fire_ratio if config.ternary else 1.0

    def fired(x: Tensor) -> Tensor:
        smooth = torch.atan(math.pi * x) / math.pi
        return (x >= 0).to(x.dtype) + smooth - smooth.detach()

    v = o = torch.zeros_like(current[0])
    digits = []
    for n in range(len(current) + config.silent_period):
        v = config.base * v + (current[n] if n < len(current) else 0)
        if n >= config.silent_period:
            s = fired(v / theta - ratio)
            if config.ternary:
                s = s - fired(-v / theta - ratio) * (config.base * o >= 1 if config.relu else 1)
            o = config.base * o + s.detach()
            v = v - theta * s
            digits.append(s)
    return torch.stack(digits)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
@pytest.mark.parametrize("length", [1, 5], ids=["constant", "changing"])
def test_gradient_equals_autograd_step_by_step(config: TSAConfig, length: int) -> None:
    torch.manual_seed(1)
    current = torch.randn(length, 2, 60, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 2, 60, dtype=torch.float64)
    ours = TSA(config, surrogate=ATan(2.0))(current, 5)
    theirs = smooth_digits(current.expand(5, -1, -1), config)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weight).sum(), current), torch.autograd.grad((theirs * weight).sum(), current)
    )


def test_straight_through_gradient_of_an_encoder_stays_where_the_value_goes() -> None:
    # within the two windows all that enters V goes into the digit of the same step: nothing is left to amplify
    current = torch.zeros(12, 1, 5, dtype=torch.float64)
    current[0] = torch.linspace(0.1, 0.9, 5) / 1.1  # no value has an end, so V never rests on a window's edge, 0
    current.requires_grad_()
    spikes = TSA(TSAConfig(silent_period=0, relu=False), surrogate=Rectangle(1.0))(current, 12)
    weight = torch.arange(1.0, 13, dtype=torch.float64).view(12, 1, 1)
    (gradient,) = torch.autograd.grad((spikes * weight).sum(), current)
    torch.testing.assert_close(gradient, weight.expand(12, 1, 5))


@given(config=configs, seed=seeds, steps=st.integers(1, 10))
def test_no_charge_is_lost(config: TSAConfig, seed: int, steps: int) -> None:
    # V by the law of conservation, summed rather than recurred, must explain every digit
    generator = torch.Generator().manual_seed(seed)
    current = torch.randn(steps, 1, 20, dtype=torch.float64, generator=generator)
    digits = TSA(config, surrogate=ATan())(current, steps)
    d, base = config.silent_period, config.base
    theta = config.threshold * base**d
    bound = (config.fire_ratio if config.ternary else 1.0) * theta
    for k in range(steps):
        inputs = sum((base ** (k + d - n) * current[n] for n in range(min(k + d + 1, steps))), torch.tensor(0.0))
        v = inputs - theta * sum((base ** (k - j) * digits[j] for j in range(k)), torch.tensor(0.0))
        output = sum((base ** (k - j) * digits[j] for j in range(k)), torch.tensor(0.0))
        expected = (v >= bound).to(v.dtype)
        if config.ternary:
            expected -= ((v <= -bound) & ((output >= 1) | (not config.relu))).to(v.dtype)
        clear = (v.abs() - bound).abs() > 1e-6 * bound
        assert torch.equal(digits[k][clear], expected[clear])


@given(config=configs, seed=seeds, steps=st.integers(1, 12))
def test_relu_rule_keeps_the_number_from_falling_below_zero(config: TSAConfig, seed: int, steps: int) -> None:
    current = torch.randn(steps, 1, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rectified = TSAConfig(config.base, config.silent_period, config.ternary, config.fire_ratio, config.threshold, True)
    digits = TSA(rectified, surrogate=ATan())(current, steps)
    for k in range(1, steps + 1):
        assert (decode(digits[:k], config.base) >= -1e-12).all()


@given(value=st.floats(0, 1), steps=st.integers(1, 12))
def test_ternary_encoder_errs_by_half_a_digit(value: float, steps: int) -> None:
    value *= 1 - 2.0**-steps
    digits = encode(torch.tensor([value], dtype=torch.float64), steps)
    assert abs(decode(digits).item() - value) <= 0.5 * 2.0**-steps + 1e-12


@given(value=st.floats(0, 1, exclude_max=True), steps=st.integers(1, 12))
def test_binary_encoder_errs_by_less_than_a_digit(value: float, steps: int) -> None:
    error = value - decode(encode(torch.tensor([value], dtype=torch.float64), steps, ternary=False)).item()
    assert 0 <= error < 2.0**-steps


@pytest.mark.parametrize("steps", [4, 6, 8])
def test_largest_error_of_the_ternary_encoder_is_reached(steps: int) -> None:
    values = torch.linspace(0, 1 - 2.0**-steps, 20_001, dtype=torch.float64)
    error = (decode(encode(values, steps)) - values).abs().max().item()
    assert error == pytest.approx(0.5 * 2.0**-steps, rel=0.02)


@pytest.mark.parametrize("ternary", [True, False])
def test_one_is_a_train_of_ones(ternary: bool) -> None:
    digits = encode(torch.ones(1, dtype=torch.float64), 8, ternary=ternary)
    assert digits.flatten().tolist() == [1] * 8
    assert decode(digits).item() == 1 - 2**-8


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_every_multiple_of_the_last_digit_is_a_level_of_its_own(steps: int) -> None:
    top = 2**steps - 1
    levels = torch.arange(-top, top + 1, dtype=torch.float64) / 2**steps
    decoded = decode(encode(levels, steps, relu=False)).flatten()
    assert torch.equal(decoded, levels)
    assert len(decoded.unique()) == 2 ** (steps + 1) - 1


def errors(steps: int, **hyperparameters: Any) -> Tensor:
    """What 8 digit trains and normal weights do to a neuron: |decoded - rectified sum|, the sum kept representable."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(8 * 20_000, dtype=torch.float64, generator=generator)
    weights = 0.5 * torch.randn(8, 20_000, dtype=torch.float64, generator=generator)
    digits = encode(values, steps, ternary=hyperparameters.get("ternary", True))
    current = (digits.view(steps, 8, -1) * weights).sum(1, keepdim=True)
    target = decode(current).clamp(0, 1 - 2.0**-steps)
    return (decode(neuron(**hyperparameters)(current, steps)) - target).abs()


def test_negative_spikes_and_a_silent_step_reduce_the_error() -> None:
    mean = {
        (ternary, d, steps): errors(steps, ternary=ternary, silent_period=d).mean().item()
        for ternary in (True, False)
        for d in (0, 1, 2)
        for steps in (4, 8)
    }
    for d, steps in product((0, 1, 2), (4, 8)):
        assert mean[True, d, steps] < 0.6 * mean[False, d, steps]
    for steps in (4, 8):
        first, second = (mean[True, d, steps] / mean[True, d + 1, steps] for d in (0, 1))
        assert first > 1.3
        assert second == pytest.approx(1, abs=0.3)  # the second silent step adds little
    assert mean[False, 0, 8] > 0.6 * mean[False, 0, 4]  # without a silent step digits don't help
    assert mean[True, 1, 8] < mean[True, 1, 4] / 8  # with one, the error halves per digit, roughly


def test_share_of_the_neurons_that_fail_falls_with_the_silent_period() -> None:
    none, one, two = (errors(8, silent_period=d) for d in (0, 1, 2))
    assert two.max().item() <= 0.5 * 2**-8 + 1e-12
    assert (one > 2**-8).double().mean().item() < 0.005
    assert 0.04 < (none > 2**-8).double().mean().item() < 0.09


@pytest.mark.parametrize("ternary", [True, False])
def test_tie_at_the_threshold_fires(ternary: bool) -> None:
    bound = 0.5 if ternary else 1.0
    below = math.nextafter(bound, 0)
    current = torch.tensor([[[bound, below, -bound, -below]]], dtype=torch.float64)
    digits = neuron(silent_period=0, ternary=ternary, relu=False)(current, 1)
    assert digits.flatten().tolist() == [1, 0, -1 if ternary else 0, 0]


def test_silent_period_is_its_delay() -> None:
    assert [neuron(silent_period=d).delay for d in (0, 1, 2)] == [0, 1, 2]


def test_fire_ratio_of_two_thirds_gives_fewer_spikes() -> None:
    values = torch.linspace(0, 2 / 3, 2000, dtype=torch.float64)
    half, two_thirds = (encode(values, 8, fire_ratio=ratio).abs().mean().item() for ratio in (0.5, 2 / 3))
    assert two_thirds < 0.9 * half


@pytest.mark.parametrize(
    ("hyperparameters", "expected"),
    [
        ({}, Operations(adds=4, shifts=2)),  # shift, take in, two comparisons; shift and add of what was emitted
        ({"base": 2.5}, Operations(adds=4, multiplies=2)),
        ({"relu": False}, Operations(adds=3, shifts=1)),
        ({"ternary": False}, Operations(adds=2, shifts=1)),
        ({"ternary": False, "base": 2.5}, Operations(adds=2, multiplies=1)),
    ],
)
def test_amplification_by_two_is_a_shift(hyperparameters: dict[str, Any], expected: Operations) -> None:
    assert neuron(**hyperparameters).update_operations() == expected
    assert neuron(**hyperparameters).spike_operations() == Operations(adds=1)
