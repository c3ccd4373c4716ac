from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins import Add, AvgPool, Dropout, Events, Flatten, Kind, MaxPool, Operations, Signal, Synapse, fold
from spikefront.plugins.network.layers import Unflatten


def binary(*shape: int) -> Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).float()


def linear(inputs: int, outputs: int, *, bias: bool = True, norm: bool = False) -> Synapse:
    torch.manual_seed(0)
    return Synapse(nn.Linear(inputs, outputs, bias=bias), nn.BatchNorm1d(outputs) if norm else None)


def conv(inputs: int, outputs: int, *, bias: bool = True, norm: bool = False) -> Synapse:
    torch.manual_seed(0)
    weight = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=bias)
    return Synapse(weight, nn.BatchNorm2d(outputs) if norm else None)


def transposed(inputs: int, outputs: int, *, bias: bool = True, norm: bool = False) -> Synapse:
    torch.manual_seed(0)
    weight = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)
    return Synapse(weight, nn.BatchNorm2d(outputs) if norm else None)


def grouped(inputs: int, outputs: int, *, bias: bool = True, norm: bool = False) -> Synapse:
    torch.manual_seed(0)
    weight = nn.ConvTranspose2d(2 * inputs, 2 * outputs, 3, dilation=2, groups=2, bias=bias)
    return Synapse(weight, nn.BatchNorm2d(2 * outputs) if norm else None)


def test_fold_sees_time_and_batch_as_one() -> None:
    x = torch.randn(4, 3, 2, 5)
    seen = []

    def double(values: Tensor) -> Tensor:
        seen.append(values.shape)
        return 2 * values[..., :1]

    assert torch.equal(fold(x, double), 2 * x[..., :1])
    assert seen == [(12, 2, 5)]


@pytest.mark.parametrize("norm", [True, False], ids=["norm", "plain"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "unbiased"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 6), (6, 2)], ids=["widening", "narrowing"])
@pytest.mark.parametrize(
    ("make", "shape"), [(linear, ()), (conv, (5, 5)), (transposed, (5, 5))], ids=["linear", "conv", "transposed"]
)
def test_coefficient_before_the_synapse_equals_after(
    make: Callable[..., Synapse],
    shape: tuple[int, ...],
    inputs: int,
    outputs: int,
    training: bool,
    bias: bool,
    norm: bool,
) -> None:
    synapse = make(inputs, outputs, bias=bias, norm=norm).train(training)
    signal = Signal(binary(4, 3, inputs, *shape), 4, Kind.BINARY, torch.tensor([1.5, -0.5, 0.25, 0.0]))
    before = synapse(Signal(signal.decoded(), 4, Kind.ANALOG)).values
    torch.testing.assert_close(synapse(signal).values, before, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 6), (6, 2)], ids=["before", "after"])
def test_gradient_of_the_coefficient_is_the_same_on_both_sides(inputs: int, outputs: int) -> None:
    coefficient = torch.rand(4, requires_grad=True)
    synapse = linear(inputs, outputs)
    values = binary(4, 3, inputs)
    ours = synapse(Signal(values, 4, Kind.BINARY, coefficient)).values
    plain = F.linear(values * coefficient.view(4, 1, 1), synapse.weight.weight, synapse.weight.bias)
    torch.testing.assert_close(
        torch.autograd.grad(ours.square().sum(), coefficient), torch.autograd.grad(plain.square().sum(), coefficient)
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(linear, (3,)), (conv, (3, 6, 6)), (transposed, (3, 6, 6)), (grouped, (6, 6, 6))],
    ids=["linear", "conv", "transposed", "grouped"],
)
def test_norm_folded_into_the_weights_equals_the_norm(
    make: Callable[..., Synapse], shape: tuple[int, ...], bias: bool
) -> None:
    synapse = make(3, 4, bias=bias, norm=True)
    assert synapse.norm is not None
    with torch.no_grad():
        synapse.norm.weight.uniform_(0.5, 2)
        synapse.norm.bias.normal_()
    for _ in range(3):
        synapse(Signal(torch.randn(4, 8, *shape), 4, Kind.ANALOG))  # gives running statistics something to be
    synapse.eval()
    x = torch.randn(4, 2, *shape)
    apart = synapse.norm(synapse.weight(x.flatten(0, 1))).unflatten(0, (4, 2))
    torch.testing.assert_close(synapse(Signal(x, 4, Kind.ANALOG)).values, apart, rtol=1e-4, atol=1e-5)


def test_unflattened_currents_are_maps() -> None:
    values = torch.arange(24.0).view(1, 2, 12)
    maps = Unflatten((3, 2, 2))(Signal(values, 4, Kind.ANALOG))
    assert maps.values.shape == (1, 2, 3, 2, 2)
    assert torch.equal(Flatten()(maps).values, values)
    assert (maps.steps, maps.kind) == (4, Kind.ANALOG)


def test_training_norm_takes_its_statistics_over_time_and_batch() -> None:
    out = linear(3, 4, norm=True)(Signal(torch.randn(5, 8, 3), 5, Kind.ANALOG)).values
    torch.testing.assert_close(out.mean((0, 1)), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var((0, 1), correction=0), torch.ones(4), rtol=0, atol=1e-3)


def test_synapse_turns_spikes_into_a_current() -> None:
    out = linear(3, 4)(Signal(binary(2, 5, 3), 2, Kind.BINARY, torch.ones(2)))
    assert (out.kind, out.coefficient, out.steps) == (Kind.ANALOG, None, 2)


def test_constant_signal_stays_constant() -> None:
    signal = Signal(torch.rand(1, 2, 1, 8, 8), 6, Kind.ANALOG)
    network = nn.Sequential(
        Synapse(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), AvgPool(2), Flatten(), Synapse(nn.Linear(36, 2))
    )
    out = network(signal)
    assert out.values.shape == (1, 2, 2)
    assert out.steps == 6


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.TERNARY])
def test_max_pooling_keeps_spikes_spikes(kind: Kind) -> None:
    values = binary(3, 2, 4, 6, 6) - (binary(3, 2, 4, 6, 6).flip(0) if kind is Kind.TERNARY else 0)
    coefficient = torch.rand(3)
    out = MaxPool(2)(Signal(values, 3, kind, coefficient))
    assert set(out.values.unique().tolist()) <= set(values.unique().tolist())
    assert (out.kind, out.coefficient) == (kind, coefficient)
    assert out.values.shape == (3, 2, 4, 3, 3)


def test_max_pooling_is_an_or() -> None:
    spikes = torch.zeros(1, 1, 1, 2, 4)
    spikes[..., 1, 0] = 1
    assert MaxPool(2)(Signal(spikes, 1, Kind.BINARY)).values.flatten().tolist() == [1, 0]


def test_max_pooling_behind_average_pooling_is_refused() -> None:
    events = Events(torch.zeros(1, 1, 2, 2), torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(
        ValueError, match="max pooling behind average pooling has no op count: put a spiking site between"
    ):
        MaxPool(2)(Signal(torch.zeros(1, 1, 1, 2, 2), 1, Kind.BINARY, events=events))


def test_average_pooling_takes_the_mean_and_keeps_the_coefficient() -> None:
    coefficient = torch.rand(2)
    out = AvgPool(2)(Signal(torch.arange(8.0).view(2, 1, 1, 2, 2), 2, Kind.BINARY, coefficient))
    assert out.values.flatten().tolist() == [1.5, 5.5]
    assert out.coefficient is coefficient


def test_flatten_leaves_time_and_batch() -> None:
    assert Flatten()(Signal(torch.zeros(2, 3, 4, 5, 6), 2, Kind.BINARY)).values.shape == (2, 3, 120)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 6), (6, 2)], ids=["widening", "narrowing"])
def test_coefficient_by_channel_is_a_set_of_weights_per_step(inputs: int, outputs: int) -> None:
    synapse, a, spikes = conv(inputs, outputs), torch.rand(4, inputs), binary(4, 3, inputs, 5, 5)
    ours = synapse(Signal(spikes, 4, Kind.BINARY, a)).values
    for t in range(4):
        weight = synapse.weight.weight * a[t].view(1, -1, 1, 1)
        theirs = F.conv2d(spikes[t], weight, synapse.weight.bias, stride=2, padding=1)
        torch.testing.assert_close(ours[t], theirs, rtol=0, atol=1e-5)


def test_flatten_spreads_a_coefficient_by_channel() -> None:
    a, values = torch.rand(2, 3), torch.rand(2, 4, 3, 5, 5)
    signal = Signal(values, 2, Kind.BINARY, a)
    torch.testing.assert_close(Flatten()(signal).decoded(), signal.decoded().flatten(2))
    constant = Signal(values, 2, Kind.BINARY, torch.rand(1, 1))
    torch.testing.assert_close(Flatten()(constant).decoded(), constant.decoded().flatten(2))


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 6), (6, 2)], ids=["widening", "narrowing"])
def test_constant_with_a_coefficient_over_time_goes_through_the_weights_once(inputs: int, outputs: int) -> None:
    synapse, calls = linear(inputs, outputs), []
    plain = synapse._map
    synapse._map = lambda values, *rest: calls.append(len(values)) or plain(values, *rest)  # type: ignore[func-returns-value, method-assign]
    a, x = torch.tensor([2.0, 0.0, 0.5]), torch.rand(1, 4, inputs)
    current = synapse(Signal(x, 3, Kind.ANALOG, a))
    assert calls == [4]  # the batch, not three times the batch
    expected = F.linear(x * a.view(3, 1, 1), synapse.weight.weight, synapse.weight.bias)
    torch.testing.assert_close(current.values, expected)


def test_bias_is_shared_out_over_time() -> None:
    synapse = conv(2, 3, norm=True).eval()
    assert synapse.norm is not None
    synapse.norm.running_mean = torch.rand(3)
    weight, bias = synapse.folded()
    assert bias is not None
    shares = torch.tensor([2.0, 0.0, -1.0])
    synapse.bias_over_time = shares
    x = torch.rand(3, 4, 2, 5, 5)
    ours = synapse(Signal(x, 3, Kind.ANALOG)).values
    for t in range(3):
        theirs = F.conv2d(x[t], weight, bias * shares[t], stride=2, padding=1)
        torch.testing.assert_close(ours[t], theirs)
    assert synapse(Signal(x[:1], 3, Kind.ANALOG)).values.shape[0] == 3  # the bias varies, if not the input


def test_dropout_drops_a_neuron_at_every_step_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.25)(Signal(torch.ones(4, 50, 200), 4, Kind.BINARY)).values
    assert (dropped == dropped[0]).all()
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_dropout_does_nothing_in_eval_mode() -> None:
    signal = Signal(binary(4, 2, 3), 4, Kind.BINARY)
    assert Dropout(0.5).eval()(signal) is signal


def test_spikes_that_meet_are_counted() -> None:
    first, second = (Signal(binary(2, 3, 4), 2, Kind.BINARY, delay=delay) for delay in (1, 4))
    out = Add()(first, second)
    assert (out.kind, out.coefficient, out.delay) == (Kind.COUNT, None, 4)
    assert set(out.values.unique().tolist()) <= {0.0, 1.0, 2.0}
    assert Add()(out, first).kind is Kind.COUNT
    assert Add().operations(first, second) == Operations()


def test_signed_spikes_that_meet_are_counted_with_their_sign() -> None:
    ternary, spikes = (
        Signal(torch.tensor([[[-1.0, 1.0, 0.0]]]), 1, Kind.TERNARY),
        Signal(torch.ones(1, 1, 3), 1, Kind.BINARY),
    )
    out = Add()(ternary, spikes)
    assert (out.kind, out.values.tolist()) == (Kind.SIGNED, [[[0.0, 2.0, 1.0]]])
    assert Add()(out, spikes).kind is Kind.SIGNED
    assert Add().operations(ternary, spikes) == Operations()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Signal(torch.rand(1, 2, 3), 4, Kind.ANALOG), Signal(torch.rand(4, 2, 3), 4, Kind.ANALOG)),
        (Signal(binary(4, 2, 3), 4, Kind.BINARY), Signal(torch.rand(4, 2, 3), 4, Kind.ANALOG)),
        (Signal(binary(4, 2, 3), 4, Kind.BINARY, torch.rand(4)), Signal(binary(4, 2, 3), 4, Kind.BINARY)),
    ],
    ids=["currents", "spikes and current", "weighted spikes"],
)
def test_other_sums_are_analog_and_cost_an_addition_per_value_and_step(first: Signal, second: Signal) -> None:
    out = Add()(first, second)
    torch.testing.assert_close(out.decoded(), first.decoded() + second.decoded())
    assert out.kind is Kind.ANALOG
    assert Add().operations(first, second) == Operations(adds=4 * 2 * 3)


def test_sum_of_constants_stays_constant() -> None:
    constant = Signal(torch.rand(1, 2, 3), 4, Kind.ANALOG)
    assert Add()(constant, constant).values.shape[0] == 1


def test_sum_behind_average_pooling_is_refused() -> None:
    events = Events(torch.zeros(1, 1, 2, 2), torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool))
    pooled = Signal(torch.zeros(1, 1, 1, 2, 2), 1, Kind.BINARY, events=events)
    with pytest.raises(ValueError, match=r"^a sum behind average pooling has no op count: put a spiking site between"):
        Add()(pooled, pooled)
