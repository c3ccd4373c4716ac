"""Encoders of snnTorch as codings: what they encode is what snnTorch encodes, and ours where they are the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind, Operations
from spikefront.plugins.codings.delta import Delta, DeltaConfig
from spikefront.plugins.codings.snntorch_delta import SnnTorchDelta, SnnTorchDeltaConfig
from spikefront.plugins.codings.snntorch_latency import SnnTorchLatency, SnnTorchLatencyConfig
from spikefront.plugins.codings.snntorch_rate import SnnTorchRate, SnnTorchRateConfig

spikegen = pytest.importorskip("snntorch.spikegen", reason="needs snntorch")


def images() -> Tensor:
    """Return a batch in which each image has inputs of 0 and 1, and some below a threshold of 0.1."""
    torch.manual_seed(0)
    x = torch.rand(4, 1, 8, 8)
    x[:, 0, 0, :2] = torch.tensor([0.0, 1.0])
    return x


def test_rate_draws_what_snntorch_draws() -> None:
    x = images()
    coding = SnnTorchRate(SnnTorchRateConfig(gain=0.8, offset=0.1), steps=6)

    torch.manual_seed(3)
    theirs = spikegen.rate(x, 6, gain=0.8, offset=0.1)
    torch.manual_seed(3)
    signal = coding.encode(x)

    assert signal.kind is Kind.BINARY
    assert torch.equal(signal.values, theirs)
    assert coding.encode_operations(x, signal) == Operations(adds=2 * 6 * x.numel())


@pytest.mark.parametrize("curve", ["log", "linear"])
@pytest.mark.parametrize("clip", [True, False])
def test_latency_fires_when_snntorch_does(curve: str, clip: bool) -> None:
    x = images()
    theirs = spikegen.latency(x, 7, threshold=0.1, normalize=True, linear=curve == "linear", clip=clip)

    coding = SnnTorchLatency(SnnTorchLatencyConfig(curve=curve, threshold=0.1, clip=clip), steps=7)
    spikes = coding.encode(x).values

    assert spikes.sum() > 200
    assert torch.equal(spikes, theirs)


def test_latency_of_a_sample_does_not_depend_on_the_others() -> None:
    """Snntorch scales by the latest spike of a batch, which a batch without weak inputs has not."""
    x = images().clamp(min=0.5)
    config = SnnTorchLatencyConfig(threshold=0.1)
    spikes = SnnTorchLatency(config, steps=7).encode(x).values
    assert not torch.equal(spikegen.latency(x, 7, threshold=0.1, normalize=True, clip=True), spikes)
    weak = torch.cat([x, torch.zeros_like(x[:1])])
    assert torch.equal(SnnTorchLatency(config, steps=7).encode(weak).values[:, :4], spikes)


@pytest.mark.parametrize("off_spike", [True, False])
def test_delta_fires_where_snntorch_and_ours_do(off_spike: bool) -> None:
    torch.manual_seed(0)
    points = torch.rand(8, 3, 5)  # (L, B, F)
    config = SnnTorchDeltaConfig(threshold=4.0, off_spike=off_spike)

    spikes = SnnTorchDelta(config, steps=8).encode_sequences(points).values

    assert spikes.any()
    assert torch.equal(spikes, spikegen.delta(points, 0.25, off_spike=off_spike))
    ours = Delta(DeltaConfig(threshold=4.0, off_spikes=off_spike), steps=8)
    assert torch.equal(spikes, ours.encode_sequences(points).values)
    padded = (
        SnnTorchDelta(SnnTorchDeltaConfig(threshold=4.0, off_spike=off_spike, padding=True), steps=8)
        .encode_sequences(points)
        .values
    )
    assert not padded[0].any()
    assert torch.equal(padded[1:], spikes[1:])
