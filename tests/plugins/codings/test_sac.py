from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind, Operations, Signal, SiteInfo
from spikefront.plugins.attention import NORMALISERS, REGULARISERS
from spikefront.plugins.codings.sac import SAC, SACConfig, WeightedSpikes

SITE = SiteInfo(0, stage=0, channels=3, size=(1, 1), last_of_stage=True)


def readout(steps: int, **config: Any) -> SAC:
    return SAC(SACConfig(scope="readout", **config), steps=steps)


def layer(steps: int, **config: Any) -> WeightedSpikes:
    module = SAC(SACConfig(scope="layer", **config), steps=steps).between(SITE)
    assert isinstance(module, WeightedSpikes)
    return module


def levels(coding: SAC) -> Tensor:
    """Return the distinct values that all spike trains of this length decode to."""
    trains = torch.tensor(list(product((0.0, 1.0), repeat=coding.time_steps))).T
    decoded = coding.decode(Signal(trains.unsqueeze(-1), coding.time_steps, Kind.BINARY)).detach()
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
def test_preset_starts_positive_and_falls_with_time(normaliser: str, init: str) -> None:
    a = layer(16, normaliser=normaliser, init=init).coefficients().detach()
    assert (a >= 0).all()
    assert (a[0] > a[1:]).all()
    assert (a.diff() <= 0).all()
    assert normaliser == "sparsemax" or (a.diff() < 0).all()


@pytest.mark.parametrize("normaliser", ["none", "l2", "softmax", "mean1"])
def test_geometric_preset_halves_at_each_step(normaliser: str) -> None:
    a = layer(8, normaliser=normaliser, init="geometric").coefficients().detach()
    torch.testing.assert_close(a[1:] / a[:-1], torch.full((7,), 0.5))


@pytest.mark.parametrize("normaliser", sorted(NORMALISERS))
def test_uniform_preset_starts_equal(normaliser: str) -> None:
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


def test_weighted_readout_costs_a_multiplication_per_value() -> None:
    output = Signal(torch.rand(4, 2, 5), 4, Kind.ANALOG)
    assert readout(4).decode_operations(output) == Operations(adds=40, multiplies=40)
    assert SAC(steps=4).decode_operations(output) == Operations(adds=40)


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
