from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Operations
from spikefront.plugins.neurons.mth import MTH, MTHConfig
from spikefront.plugins.surrogates.atan import ATan

RATES = {"thresholds": 1, "fire_ratio": 0.5}


def neuron(**hyperparameters: Any) -> MTH:
    return MTH(MTHConfig(**hyperparameters), surrogate=ATan())


def constant(value: Tensor | float, steps: int) -> Tensor:
    """Return a current that comes whole at the first step."""
    value = torch.as_tensor(value, dtype=torch.float64).reshape(1, -1)
    return torch.cat([value.unsqueeze(0), torch.zeros(steps - 1, *value.shape, dtype=torch.float64)])


def mean(messages: Tensor) -> Tensor:
    return (messages / torch.arange(1.0, len(messages) + 1, dtype=messages.dtype).view(-1, 1, 1)).sum(0)


def released(d: list[float], b: float, thresholds: int | None) -> list[float]:
    """The released update, one neuron: the constant in a pass of its own; None is its integrate-and-fire neuron."""
    e_in, e_out, total, m, out = b, 0.0, 0.0, 0.5 if thresholds is None else 0.0, []
    for t, came in enumerate(d, 1):
        m += came + e_in - e_out
        total += e_out
        s = 0.0
        if thresholds is None:
            s = 1.0 if m >= 1 else 0.0
            s -= 1.0 if m <= 0 and total >= 1 else 0.0
        else:
            steps = [2.0**-i for i in range(thresholds)]
            up = next((th for th in steps if m >= 0.75 * th), None)
            down = next((th for th in steps if m <= -0.75 * th and total >= th), None)
            s = up if up is not None else -down if down is not None else 0.0
        total += s
        m -= s
        e_in += came / t
        e_out += s / t
        out.append(s)
    return out


@pytest.mark.parametrize("thresholds", [1, 3, 8, None])
def test_equals_the_released_update_neuron_by_neuron(thresholds: int | None) -> None:
    torch.manual_seed(0)
    d = torch.randint(-64, 65, (12, 1, 80), dtype=torch.float64) / 64  # so that d + b is exact
    b = torch.randint(-32, 97, (80,), dtype=torch.float64) / 64
    expected = [released(d[:, 0, i].tolist(), float(b[i]), thresholds) for i in range(80)]
    d[0] += b
    one = neuron(**RATES) if thresholds is None else neuron(thresholds=thresholds)
    assert torch.equal(one(d, 12)[:, 0].T, torch.tensor(expected, dtype=torch.float64))


def test_three_trains_by_hand() -> None:
    rates = neuron(**RATES)(constant(0.3, 8), 8)
    assert rates.flatten().tolist() == [0, 1, -1, 1, -1, 1, -1, 0]
    assert mean(rates).item() == pytest.approx(0.24048, abs=1e-5)
    first = neuron()(constant(0.77, 8), 8)
    assert first.flatten().tolist() == [1, -0.5, 0.0625, 0, 0, 0, 0, -0.0078125]
    assert mean(first).item() == pytest.approx(0.769857, abs=1e-6)


def test_two_neurons_in_a_row_by_hand() -> None:
    upstream = neuron()(constant(0.6, 8), 8)
    assert upstream.flatten().tolist() == [0.5, 0.25, -0.0625, -0.015625, 0, 0, 0, 0]
    assert mean(upstream).item() == pytest.approx(0.600260, abs=1e-6)
    downstream = neuron()(0.8 * upstream + constant(0.1, 8), 8)
    assert downstream.flatten().tolist() == [0.5, 0.25, -0.125, -0.015625, 0, 0, 0, 0.0078125]
    assert mean(downstream).item() == pytest.approx(0.5804036, abs=1e-7)


@pytest.mark.parametrize(("steps", "worst", "messages"), [(4, 0.0046, 3.21), (8, 0.0008, 3.63), (32, 0.0003, 4.32)])
def test_messages_stop_when_the_mean_is_known(steps: int, worst: float, messages: float) -> None:
    torch.manual_seed(0)
    a = torch.rand(400, dtype=torch.float64)
    train = neuron()(constant(a, steps), steps)
    assert (mean(train)[0] - a).abs().max() < worst
    assert float((train != 0).sum()) / 400 == pytest.approx(messages, abs=0.15)


def test_virtual_train_sums_to_its_mean_and_never_below_what_was_emitted() -> None:
    torch.manual_seed(0)
    current = torch.randn(20, 3, 50, dtype=torch.float64)
    current[0] += 0.5
    for one in (neuron(), neuron(thresholds=3), neuron(**RATES)):
        train = one(current, 20)
        total = mean_out = torch.zeros(3, 50, dtype=torch.float64)
        for t, s in enumerate(train, 1):
            total = total + mean_out
            assert bool((total >= -s)[s < 0].all())
            total, mean_out = total + s, mean_out + s / t
            torch.testing.assert_close(mean_out, total / t, rtol=0, atol=1e-12)


def test_divisions_are_charged_where_there_is_something_to_divide() -> None:
    messages = neuron()(constant(0.6, 5), 5)  # at steps 1, 2, 3 and 4
    charged = neuron().operations(constant(0.6, 5), messages)
    assert charged == Operations(adds=5 * 8 + 4 * 2, multiplies=1, shifts=2)  # by 3; by 2 and 4
