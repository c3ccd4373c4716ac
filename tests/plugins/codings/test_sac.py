from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikefront.plugins import Kind, Operations, Signal, SiteInfo, Synapse
from spikefront.plugins.bases.attention import NORMALISERS, REGULARISERS
from spikefront.plugins.codings.sac import SAC, SACConfig, WeightedSpikes
from spikefront.runners.judging.training import parameter_groups

SITE = SiteInfo(0, stage=0, channels=3, size=(1, 1), last_of_stage=True)
PRESETS = ("rate", "count", "phase", "ttfs-linear", "ttfs-exp", "first", "last")


def readout(steps: int, **config: Any) -> SAC:
    return SAC(SACConfig(scope="readout", **config), steps=steps)


def layer(steps: int, scope: str = "layer", **config: Any) -> WeightedSpikes:
    module = SAC(SACConfig(scope=scope, **config), steps=steps).between(SITE)
    assert isinstance(module, WeightedSpikes)
    return module


def drawn(module: nn.Module, seed: int = 0) -> None:
    """Set the free parameters to random numbers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def levels(coding: SAC) -> Tensor:
    """Return the distinct values that all spike trains of this length decode to."""
    trains = torch.tensor(list(product((0.0, 1.0), repeat=coding.steps))).T
    decoded = coding.decode(Signal(trains.unsqueeze(-1), coding.steps, Kind.BINARY)).detach()
    distinct: Tensor = (decoded.flatten() * 1e5).round().unique() / 1e5
    return distinct


@pytest.mark.parametrize("normaliser", ["softmax", "sum1", "sparsemax"])
def test_uniform_coefficients_reproduce_rate_decoding(normaliser: str) -> None:
    spikes = torch.randint(0, 2, (8, 4, 10)).float()
    decoded = readout(8, normaliser=normaliser, init="uniform").decode(Signal(spikes, 8, Kind.BINARY))
    torch.testing.assert_close(decoded, spikes.mean(0), rtol=1e-5, atol=1e-6)


def test_uniform_layer_coefficients_leave_spikes_as_they_are() -> None:
    spikes = Signal(torch.randint(0, 2, (4, 2, 3)).float(), 4, Kind.BINARY)
    torch.testing.assert_close(layer(4)(spikes, spikes).decoded(), spikes.values)


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_rate_has_a_level_per_count(steps: int) -> None:
    assert len(levels(readout(steps, normaliser="softmax", init="uniform"))) == steps + 1


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_geometric_coefficients_tell_all_spike_trains_apart(steps: int) -> None:
    found = levels(readout(steps, normaliser="softmax", init="geometric"))
    expected = torch.arange(2**steps) / (2**steps - 1)  # 2^-t, scaled to sum 1: binary digits
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("normaliser", sorted(NORMALISERS))
@pytest.mark.parametrize("init", ["linear", "geometric"])
def test_initial_value_starts_positive_and_falls_with_time(normaliser: str, init: str) -> None:
    a = layer(16, normaliser=normaliser, init=init).coefficients().detach()
    assert (a >= 0).all()
    assert (a[0] > a[1:]).all()
    assert (a.diff() <= 0).all()
    assert normaliser == "sparsemax" or (a.diff() < 0).all()


@pytest.mark.parametrize("normaliser", ["none", "l2", "softmax", "mean1"])
def test_geometric_start_halves_at_each_step(normaliser: str) -> None:
    a = layer(8, normaliser=normaliser, init="geometric").coefficients().detach()
    torch.testing.assert_close(a[1:] / a[:-1], torch.full((7,), 0.5))


@pytest.mark.parametrize("normaliser", sorted(NORMALISERS))
def test_uniform_start_is_equal(normaliser: str) -> None:
    a = layer(8, normaliser=normaliser, init="uniform").coefficients().detach()
    torch.testing.assert_close(a, a[:1].expand(8))
    assert a[0] > 0


def test_temperature_sharpens() -> None:
    sharp = layer(4, normaliser="softmax", init="geometric", temperature=0.1).coefficients()
    flat = layer(4, normaliser="softmax", init="geometric", temperature=5.0).coefficients()
    assert sharp[0] > 0.99
    assert flat[0] < 0.35


def test_each_coded_layer_learns_one_coefficient_per_step() -> None:
    coding = SAC(SACConfig(scope="layer"), steps=6)
    modules = [coding.between(SITE) for _ in range(3)]
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in modules if module is not None]
    assert counts == [6, 6, 6]
    assert not list(coding.parameters())  # the sites own them


def test_readout_learns_one_coefficient_per_step_and_no_layer_does() -> None:
    coding = readout(6)
    assert coding.between(SITE) is None
    assert sum(parameter.numel() for parameter in coding.parameters()) == 6


def test_layer_scope_averages_the_output() -> None:
    output = Signal(torch.rand(4, 2, 5), 4, Kind.ANALOG)
    assert torch.equal(SAC(SACConfig(scope="layer"), steps=4).decode(output), output.values.mean(0))


def test_spikes_stay_spikes_with_a_coefficient_beside_them() -> None:
    spikes = Signal(torch.randint(0, 2, (4, 2, 3)).float(), 4, Kind.TERNARY)
    out = layer(4)(spikes, spikes)
    assert (out.values is spikes.values, out.kind) == (True, Kind.TERNARY)
    assert out.coefficient is not None
    assert out.coefficient.shape == (4,)


def test_weighted_readout_costs_a_product_per_value() -> None:
    output = Signal(torch.rand(4, 2, 5), 4, Kind.ANALOG)
    assert readout(4, init="linear").decode_operations(output) == Operations(adds=40, multiplies=40)
    assert readout(4).decode_operations(output) == Operations(adds=40)  # equal weights fold
    assert SAC(steps=4).decode_operations(output) == Operations(adds=40)
    weighted = Signal(torch.ones(4, 2, 5), 4, Kind.BINARY, torch.tensor([0.5, 1.0, 0.0, 2.0]))  # a layer's own
    assert SAC(steps=4).decode_operations(weighted) == Operations(adds=40, shifts=20)
    weighted = Signal(torch.ones(4, 2, 5), 4, Kind.BINARY, torch.full((4, 5), 0.5))
    assert SAC(steps=4).decode_operations(weighted) == Operations(adds=40)


@pytest.mark.parametrize("regulariser", sorted(REGULARISERS))
def test_penalty_is_weighted_wherever_the_coefficients_are(regulariser: str) -> None:
    a = NORMALISERS["sigmoid"](torch.tensor([1.0, 0.5, 0.25]))
    expected = 0.05 * REGULARISERS[regulariser](a)
    config: dict[str, Any] = {
        "regulariser": regulariser,
        "regulariser_weight": 0.05,
        "normaliser": "sigmoid",
        "init": "geometric",
    }
    for penalty in (readout(3, **config).penalty(), layer(3, **config).penalty()):
        assert isinstance(penalty, Tensor)
        torch.testing.assert_close(penalty, expected)
    assert SAC(SACConfig(scope="layer", **config), steps=3).penalty() == 0  # each layer adds its own
    assert layer(3).penalty() == 0


def test_metrics_say_how_many_steps_count() -> None:
    uniform = SAC(SACConfig(), steps=8)
    uniform.between(SITE)
    assert uniform.metrics()["sac.effective_steps"] == pytest.approx(8)
    sharp = readout(8, normaliser="softmax", init="geometric", temperature=0.1)
    assert sharp.metrics()["sac.effective_steps"] == pytest.approx(1, abs=0.05)


def test_metrics_are_means_over_layers_and_hold_for_equal_presets() -> None:
    coding = SAC(SACConfig(scope="channel", normaliser="softmax"), steps=8)
    first, second = coding.between(SITE), coding.between(SITE)
    assert isinstance(first, WeightedSpikes)
    assert isinstance(second, WeightedSpikes)
    with torch.no_grad():
        second.coefficients.u.view(8, 3)[0] = 50.0  # one step each
    metrics = coding.metrics()
    assert metrics["sac.effective_steps"] == pytest.approx((8 + 1) / 2)
    assert metrics["sac.effective_steps_l2"] == pytest.approx((8 + 1) / 2)
    assert metrics["sac.entropy"] == pytest.approx(math.log(8) / 2)
    assert readout(8, preset="rate").metrics()["sac.effective_steps_l2"] == pytest.approx(8)


# Numeric oracles: they hold for any parameters

parameters = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=8)


@given(u=parameters)
def test_simplex_read_out_stays_in_0_1_and_mean_1_in_0_t(u: list[float]) -> None:
    steps = len(u)
    spikes = torch.randint(0, 2, (steps, 4, 10)).float()
    output = Signal(torch.cat((spikes, torch.ones(steps, 1, 10)), dim=1), steps, Kind.BINARY)
    for normaliser, largest in (("softmax", 1), ("sum1", 1), ("sparsemax", 1), ("mean1", steps)):
        coding = readout(steps, normaliser=normaliser)
        assert coding.readout is not None
        coding.readout.u.data = torch.tensor(u)
        decoded = coding.decode(output)
        assert decoded.min() >= 0
        torch.testing.assert_close(decoded[-1], torch.full((10,), float(largest)))  # all fire: the largest value
        assert (decoded <= decoded[-1] * (1 + 1e-6)).all()


@given(u=parameters)
def test_l2_read_out_is_at_most_the_root_of_t(u: list[float]) -> None:
    steps = len(u)
    coding = readout(steps, normaliser="l2")
    assert coding.readout is not None
    coding.readout.u.data = torch.tensor(u)
    output = Signal(torch.randint(0, 2, (steps, 4, 10)).float(), steps, Kind.BINARY)
    assert coding.decode(output).abs().max() <= math.sqrt(steps) * (1 + 1e-6)


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_generic_coefficients_tell_all_spike_trains_apart(steps: int) -> None:
    coding = readout(steps, normaliser="none")
    assert coding.readout is not None
    coding.readout.u.data = torch.tensor([2, 3, 5, 7, 11, 13]).sqrt()[:steps]  # linearly independent over the integers
    assert len(levels(coding)) == 2**steps


@pytest.mark.parametrize(("preset", "expected"), [("rate", 5), ("count", 5), ("phase", 16), ("first", 2), ("last", 2)])
def test_preset_has_the_levels_of_its_code(preset: str, expected: int) -> None:
    found = levels(readout(4, preset=preset))
    assert len(found) == expected
    step = {"rate": 1 / 4, "count": 1.0, "phase": 1 / 16}.get(preset, 1.0)
    torch.testing.assert_close(found, step * torch.arange(expected), rtol=0, atol=2e-5)


@given(u=parameters, target=st.floats(-2, 2))
def test_softmax_gradient_sums_to_0_over_time(u: list[float], target: float) -> None:
    coding = readout(len(u), normaliser="softmax")
    assert coding.readout is not None
    coding.readout.u.data = torch.tensor(u)
    spikes = Signal(torch.randint(0, 2, (len(u), 4, 3)).float(), len(u), Kind.BINARY)
    (coding.decode(spikes) - target).square().sum().backward()
    assert coding.readout.u.grad is not None
    assert coding.readout.u.grad.sum().item() == pytest.approx(0, abs=1e-4)


def test_channel_scope_learns_a_vector_per_channel_and_decay_spares_it() -> None:
    module = layer(6, "channel", lr_multiplier=3.0)
    assert sum(parameter.numel() for parameter in module.parameters()) == 6 * 3
    assert module.coefficients().shape == (6, 3)
    (group,) = parameter_groups(module, lr=0.1)
    assert group["weight_decay"] == 0
    assert group["lr"] == pytest.approx(0.3)


# The forward pass, against loops


@pytest.mark.parametrize("weight", [nn.Linear(3, 5), nn.Linear(3, 2), nn.Conv2d(3, 4, 3), nn.Conv2d(3, 2, 3)], ids=str)
@pytest.mark.parametrize("scope", ["layer", "channel", "input"])
def test_coefficients_before_the_weights_equal_coefficients_after(scope: str, weight: nn.Linear | nn.Conv2d) -> None:
    steps, shape = 5, (3, 6, 6) if isinstance(weight, nn.Conv2d) else (3,)
    coding = SAC(SACConfig(scope=scope, normaliser="tanh"), steps=steps)
    if scope == "input":
        drawn(coding)
        assert coding.input is not None
        x = torch.rand(2, *shape)
        edge, a = coding.encode(x), coding.input().unsqueeze(1).expand(steps, 3)
        assert len(edge.values) == 1  # W x is computed once
        values = x.expand(steps, *x.shape)
    else:
        module = layer(steps, scope, normaliser="tanh")
        drawn(module)
        values = torch.randint(0, 2, (steps, 2, *shape)).float()
        spikes = Signal(values, steps, Kind.BINARY)
        edge, a = module(spikes, spikes), module.coefficients().view(steps, -1).expand(steps, 3)
    out = Synapse(weight)(edge).values
    expected = torch.empty_like(out)
    for t in range(steps):  # one set of weights per step, on unweighted values
        kernel = weight.weight * a[t].view(1, 3, *[1] * (weight.weight.dim() - 2))
        if isinstance(weight, nn.Conv2d):
            expected[t] = nn.functional.conv2d(values[t], kernel, weight.bias)
        else:
            expected[t] = nn.functional.linear(values[t], kernel, weight.bias)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_read_out_is_the_weighted_sum_of_a_loop() -> None:
    coding = readout(6, normaliser="sum1", init="linear")
    u = [math.exp(-0.1 * t) for t in range(6)]
    positive = [math.log1p(math.exp(value)) for value in u]
    values = torch.randn(6, 2, 3)
    for b, k in product(range(2), range(3)):
        expected = sum(positive[t] / sum(positive) * values[t, b, k].item() for t in range(6))
        assert coding.decode(Signal(values, 6, Kind.ANALOG))[b, k].item() == pytest.approx(expected, abs=1e-5)


def test_constant_output_counts_at_every_step() -> None:
    values = torch.randn(1, 2, 3)
    for config in ({"preset": "count"}, {"normaliser": "mean1"}):
        torch.testing.assert_close(readout(5, **config).decode(Signal(values, 5, Kind.ANALOG)), 5 * values[0])


def test_coefficients_keep_what_the_edge_already_weighs() -> None:
    module = layer(4, init="geometric", normaliser="none")
    spikes = Signal(torch.ones(4, 2, 3), 4, Kind.BINARY, torch.tensor([1.0, 2.0, 4.0, 8.0]))
    torch.testing.assert_close(module(spikes, spikes).decoded(), torch.ones(4, 2, 3))  # 2^t 2^-t


# Presets


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("rate", [1 / 4] * 4),
        ("count", [1.0] * 4),
        ("phase", [1 / 2, 1 / 4, 1 / 8, 1 / 16]),
        ("ttfs-linear", [1.0, 3 / 4, 2 / 4, 1 / 4]),
        ("ttfs-exp", [1.0, math.exp(-1 / 3), math.exp(-2 / 3), math.exp(-1)]),
        ("first", [1.0, 0.0, 0.0, 0.0]),
        ("last", [0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_preset_is_what_its_code_says_and_learns_nothing(preset: str, expected: list[float]) -> None:
    one_spike_each = torch.eye(4).unsqueeze(1)  # neuron t fires at step t only
    for scope in ("layer", "channel"):
        module = layer(4, scope, preset=preset, tau=3.0)
        assert not list(module.parameters())
        edge = Signal(one_spike_each, 4, Kind.BINARY)
        assert torch.diagonal(module(edge, edge).decoded()[:, 0]).tolist() == pytest.approx(expected)
    coding = readout(4, preset=preset, tau=3.0, regulariser="early", regulariser_weight=0.1)
    assert coding.decode(Signal(one_spike_each, 4, Kind.BINARY))[0].tolist() == pytest.approx(expected)
    assert coding.penalty() == 0


def test_preset_at_the_input_weights_the_constant() -> None:
    x = torch.rand(2, 3)
    edge = SAC(SACConfig(scope="input", preset="ttfs-linear"), steps=2).encode(x)
    torch.testing.assert_close(edge.decoded(), torch.stack((x, x / 2)))


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.TERNARY])
def test_ttfs_lets_only_first_spikes_through_and_looks_at_each(kind: Kind) -> None:
    values = torch.tensor([[0.0, 1, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]]).unsqueeze(1)
    if kind is Kind.TERNARY:
        values = values * torch.tensor([1.0, -1, 1, -1]).view(4, 1, 1)
    values.requires_grad_()
    spikes = Signal(values, 4, kind)
    first = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]]).unsqueeze(1)
    module = layer(4, preset="ttfs-linear")
    out = module(spikes, spikes)
    assert torch.equal(out.values, first * values)
    assert out.kind is kind
    assert module.operations(spikes, spikes) == Operations(adds=5)
    assert layer(4, preset="phase").operations(spikes, spikes) == Operations()
    out.values.sum().backward()  # until a neuron has fired, a spike would make a difference
    assert values.grad is not None
    assert values.grad[:, 0].tolist() == [[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1]]


def test_ttfs_read_out_masks_spikes_and_not_currents() -> None:
    coding = readout(2, preset="ttfs-linear")
    ones = torch.ones(2, 1, 1)
    assert coding.decode(Signal(ones, 2, Kind.BINARY)).item() == 1
    assert coding.decode(Signal(ones, 2, Kind.ANALOG)).item() == 1.5
    assert coding.decode_operations(Signal(ones, 2, Kind.BINARY)) == Operations(adds=2 + 2, shifts=1)
    assert coding.decode_operations(Signal(ones, 2, Kind.ANALOG)) == Operations(adds=2, shifts=1)


@pytest.mark.parametrize("preset", ["rate", "count"])
def test_equal_presets_fold_into_the_weights(preset: str) -> None:
    output = Signal(torch.rand(4, 2, 5), 4, Kind.ANALOG)
    assert readout(4, preset=preset).decode_operations(output) == Operations(adds=40)
