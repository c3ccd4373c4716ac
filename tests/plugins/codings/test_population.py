from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind
from spikefront.plugins.codings.population import Population, PopulationConfig, integrate_and_fire, receptive_fields


def test_fields_are_gaussians_with_centres_over_the_range() -> None:
    x = torch.rand(2, 3, 4, 5)
    answers = receptive_fields(x, fields=5, width=0.7)
    assert answers.shape == (2, 15, 4, 5)
    for b, c, h, w, k in [(0, 0, 0, 0, 0), (1, 2, 3, 4, 4), (0, 1, 2, 3, 2), (1, 0, 3, 1, 3)]:
        distance = (x[b, c, h, w].item() - k / 4) / (0.7 / 4)  # centres 1/4 apart
        assert answers[b, 5 * c + k, h, w].item() == pytest.approx(math.exp(-(distance**2) / 2), rel=1e-4)


def test_input_at_a_centre_drives_its_field_most() -> None:
    answers = receptive_fields(torch.tensor([[0.0], [0.5], [1.0]]), fields=3, width=1.0)
    assert answers.argmax(1).tolist() == [0, 1, 2]
    # one standard deviation from the next centre, two from the one after
    assert answers[0].tolist() == pytest.approx([1, math.exp(-0.5), math.exp(-2)])


def test_neurons_fire_as_a_loop_says() -> None:
    drive = torch.cat((torch.rand(2000), torch.tensor([0.0, 0.999, 1.0]))).double()
    spikes = integrate_and_fire(drive, steps=40)
    v = torch.zeros_like(drive)
    for t in range(40):
        v = v + drive
        fired = (v >= 0.999).double()
        v = v - 0.999 * fired
        decided = (v - 0.999).abs().minimum(v.abs()) > 1e-9  # rounding decides the rest
        assert torch.equal(spikes[t][decided], fired[decided])
        assert set(spikes[t].tolist()) <= {0.0, 1.0}


def test_strongest_drive_fires_at_every_step() -> None:
    assert integrate_and_fire(torch.ones(3), steps=32).all()
    assert not integrate_and_fire(torch.zeros(3), steps=32).any()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(64, 6)


def test_integrate_and_fire_spikes_are_spikingjellys(x: Tensor) -> None:
    encoding = pytest.importorskip("spikingjelly.activation_based.encoding")
    theirs = encoding.PopSpikeEncoderDeterministic(obs_dim=6, pop_dim=5, spike_ts=16, mean_range=(0, 1), std=0.2)
    config = PopulationConfig(fields=5, width=0.8, spikes="deterministic")  # centres 1/4 apart
    ours = Population(config, steps=16).encode(x).values
    with torch.no_grad():
        expected = theirs(x)
    assert ours.shape == expected.shape
    assert (ours != expected).float().mean() < 1e-3  # where rounding decides
    assert (ours.sum(0) - expected.sum(0)).abs().max() <= 1


def test_random_spikes_have_the_rates_of_spikingjellys(x: Tensor) -> None:
    encoding = pytest.importorskip("spikingjelly.activation_based.encoding")
    theirs = encoding.PopSpikeEncoderRandom(obs_dim=6, pop_dim=5, spike_ts=500, mean_range=(0, 1), std=0.2)
    drive = receptive_fields(x, fields=5, width=0.8)
    # Population is searched up to 32 steps; here its error has to be small
    ours = Population(PopulationConfig(fields=5, width=0.8, spikes="bernoulli"), steps=500).encode(x).values.mean(0)
    with torch.no_grad():
        expected = theirs(x).mean(0)
    error = 5 * (drive * (1 - drive) / 500).sqrt() + 5 / 500  # the second term: a few spikes where hardly any come
    assert ((ours - drive).abs() <= error).all()
    assert ((expected - drive).abs() <= error).all()


@pytest.mark.parametrize("shape", [(3,), (2, 8, 8)])
def test_network_gets_a_channel_per_field(shape: tuple[int, ...]) -> None:
    coding = Population(PopulationConfig(fields=6), steps=4)
    signal = coding.encode(torch.rand(5, *shape))
    assert coding.encoded_shape(shape) == (6 * shape[0], *shape[1:])
    assert signal.values.shape == (4, 5, *coding.encoded_shape(shape))
    assert signal.kind is Kind.BINARY
