from __future__ import annotations

import pytest
import torch

from spikefront.plugins import ContractError, Events, Kind, Signal
from spikefront.plugins.network.signal import over_time, refuse_time_axis


def test_coefficient_weights_each_step() -> None:
    spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])
    signal = Signal(spikes, 2, Kind.BINARY, coefficient=torch.tensor([2.0, 0.5]))
    assert signal.decoded().tolist() == [[[2.0, 0.0]], [[0.5, 0.5]]]


def test_coefficient_spreads_a_constant_over_time() -> None:
    signal = Signal(torch.ones(1, 2, 3), 4, Kind.ANALOG, coefficient=torch.arange(4.0))
    assert signal.decoded().shape == (4, 2, 3)
    assert signal.decoded()[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_without_coefficient_values_are_what_they_are() -> None:
    values = torch.rand(2, 3, 4)
    assert Signal(values, 2, Kind.ANALOG).decoded() is values


def test_other_values_stay_on_the_same_edge() -> None:
    events = Events(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))
    signal = Signal(torch.ones(2, 1, 3), 2, Kind.TERNARY, torch.ones(2), events=events)
    other = signal.with_values(torch.zeros(2, 1, 5))
    assert (other.steps, other.kind, other.coefficient, other.events) == (2, Kind.TERNARY, signal.coefficient, events)


def test_current_is_analog_and_leaves_coefficient_and_events_behind() -> None:
    signal = Signal(torch.ones(2, 1, 3), 2, Kind.BINARY, torch.ones(2))
    current = signal.current(torch.ones(2, 1, 4))
    assert (current.steps, current.kind, current.coefficient, current.events) == (2, Kind.ANALOG, None, None)


def test_over_time_broadcasts_over_any_shape() -> None:
    assert over_time(torch.ones(3), torch.ones(3, 2, 4, 5, 6)).shape == (3, 1, 1, 1, 1)


def test_coefficient_by_channel_weights_each_step_and_channel() -> None:
    values = torch.rand(3, 2, 4, 5, 6)
    a = torch.rand(3, 4)
    decoded = Signal(values, 3, Kind.BINARY, a).decoded()
    for t in range(3):
        for c in range(4):
            torch.testing.assert_close(decoded[t, :, c], a[t, c] * values[t, :, c])


@pytest.mark.parametrize("first", [(3,), (1,), (3, 4), (1, 4), (1, 1)])
@pytest.mark.parametrize("second", [(3,), (1,), (3, 4), (1, 4), (1, 1)])
def test_coefficients_multiply(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    values, a, b = torch.rand(3, 2, 4, 5), torch.rand(first), torch.rand(second)
    once = Signal(values, 3, Kind.BINARY, a).decoded()
    expected = Signal(once, 3, Kind.ANALOG, b).decoded()
    torch.testing.assert_close(Signal(values, 3, Kind.BINARY).weighted(a).weighted(b).decoded(), expected)


def test_delay_stays_with_the_signal() -> None:
    signal = Signal(torch.ones(2, 1, 3), 2, Kind.BINARY, delay=3)
    assert (signal.current(signal.values).delay, signal.with_values(signal.values).delay) == (3, 3)


def test_a_coefficient_by_sample_weights_each_step_of_each_sample() -> None:
    values, gate = torch.randint(0, 2, (3, 4, 5, 2, 2)).float(), torch.rand(3, 4, 1)
    edge = Signal(values, 3, Kind.BINARY).weighted(gate)
    assert edge.kind is Kind.BINARY
    assert torch.equal(edge.decoded(), torch.einsum("tbchw,tb->tbchw", values, gate.squeeze(2)))


def test_a_coefficient_by_sample_and_one_by_step_stay_a_coefficient_and_one_by_channel_makes_an_edge_analog() -> None:
    values, gate = torch.randint(0, 2, (3, 4, 5)).float(), torch.rand(3, 4, 1)
    by_step, by_channel = torch.rand(3), torch.rand(1, 5)
    edge = Signal(values, 3, Kind.BINARY)
    for stepped in (edge.weighted(by_step).weighted(gate), edge.weighted(gate).weighted(by_step)):
        assert stepped.kind is Kind.BINARY
        assert stepped.coefficient is not None
        assert stepped.coefficient.shape == (3, 4, 1)
        torch.testing.assert_close(stepped.decoded(), values * gate * by_step.view(3, 1, 1))
    for analog in (edge.weighted(by_channel).weighted(gate), edge.weighted(gate).weighted(by_channel)):
        assert (analog.kind, analog.coefficient) == (Kind.ANALOG, None)
        torch.testing.assert_close(analog.values, values * gate * by_channel)


@pytest.mark.parametrize("shape", [(), (3, 4), (3, 4, 5), (3, 2, 1), (3, 4, 1, 1)])
def test_a_coefficient_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    edge = Signal(torch.zeros(3, 4, 5), 3, Kind.BINARY)
    with pytest.raises(ContractError, match=r"for 4 samples of 5 channels; it is \(T,\), \(T, C\) or"):
        edge.weighted(torch.ones(shape))
    if shape:
        with pytest.raises(ContractError, match=r"coding 'rate' returned a coefficient of shape"):
            refuse_time_axis("coding 'rate'", Signal(edge.values, 3, Kind.BINARY, torch.ones(shape)), 3)


def test_first_steps_have_their_values_coefficients_and_events() -> None:
    events = Events(torch.ones(3, 1, 2, 2), torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))
    signal = Signal(torch.arange(6.0).view(3, 1, 2), 3, Kind.COUNT, torch.tensor([1.0, 2.0, 4.0]), 5, events)
    first = signal.first(2)
    assert (first.steps, first.delay, first.kind) == (2, 5, Kind.COUNT)
    assert first.decoded().tolist() == [[[0, 1]], [[4, 6]]]
    assert first.events is not None
    assert first.events.count.shape == (2, 1, 2, 2)
    assert signal.first(3) is signal.first(4) is signal


def test_first_steps_of_what_is_constant_stay_constant() -> None:
    first = Signal(torch.ones(1, 2, 3), 4, Kind.ANALOG, torch.full((1,), 0.5)).first(2)
    assert first.values.shape == (1, 2, 3)
    assert first.coefficient is not None
    assert first.coefficient.shape == (1,)
    assert Signal(torch.ones(1, 2, 3), 4, Kind.ANALOG, torch.arange(4.0)).first(2).decoded()[:, 0, 0].tolist() == [0, 1]
