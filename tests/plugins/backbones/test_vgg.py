from __future__ import annotations

import pytest
import torch

from spikefront.plugins import Kind, Operations, Signal, SiteInfo, load_registry
from spikefront.plugins.backbones.vgg import VGG, VGGConfig, Vote
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import UsageError, from_flat

DVS128: dict[str, object] = {
    "width": 128, "stages": 5, "convs": 1, "growth": 1, "hidden": 512, "dropout": 0.5, "vote": 10, "readout": "spikes"
}  # fmt: skip
"""TCJA's network for DVS128 Gesture."""


def build(config: VGGConfig, input_shape: tuple[int, ...], outputs: int = 10) -> tuple[VGG, list[SiteInfo]]:
    sites = NumberedSites(LIF)
    backbone = VGG(config, input_shape=input_shape, outputs=outputs, sites=sites)
    sites.finish()
    return backbone, [site.info for site in sites.made]


def dvs128(coding: str) -> Network:
    registry = load_registry(third_parties=False)
    flat: dict[str, object] = {"task": "digits", "coding": coding, "steps": 20, "backbone": "vgg"}
    flat |= {f"backbone.vgg.{name}": value for name, value in DVS128.items()}
    if coding == "tcja":
        flat |= {"coding.tcja.k_time": 4, "coding.tcja.k_channel": 4, "coding.tcja.positions": "last-two"}
    return assemble(from_flat(flat, registry), registry, (2, 128, 128), 11)


def test_the_network_for_dvs128_has_the_published_parameters() -> None:
    assert dvs128("direct").parameter_count == 1_698_304
    # two gates of 4 * 20 * 20 and 4 * 128 * 128 weights
    assert dvs128("tcja").parameter_count == 1_698_304 + 2 * (1600 + 65_536) == 1_832_576


def test_tcja_sits_at_the_last_two_poolings() -> None:
    gated = [site.info for site in dvs128("tcja").sites if site.between is not None]
    assert [(info.stage, info.size) for info in gated] == [(3, (16, 16)), (4, (8, 8))]


def test_the_network_for_cifar10_dvs_has_its_channels_and_maps_from_the_second_convolution_on() -> None:
    _, infos = build(VGGConfig(width=128, stages=4, convs=2, growth=2, hidden=0, dropout=0.0), (2, 48, 48))
    channels = [128, 128, 256, 256, 512, 512, 512, 512]  # the first is 64 in the paper
    maps = [48, 48, 24, 24, 12, 12, 6, 6]
    assert [(info.channels, info.size) for info in infos] == [(c, (m, m)) for c, m in zip(channels, maps, strict=True)]
    assert [info.stage for info in infos if info.last_of_stage] == [0, 1, 2, 3]


@pytest.mark.parametrize("hidden", [0, 32])
def test_parameters_are_those_of_the_arithmetic(hidden: int) -> None:
    backbone, _ = build(VGGConfig(width=4, stages=2, convs=2, growth=2, hidden=hidden), (1, 9, 14))
    convolutions = 9 * (1 * 4 + 4 * 4 + 4 * 8 + 8 * 8) + 2 * (4 + 4 + 8 + 8)
    features = 8 * 2 * 3  # 9 -> 4 -> 2, 14 -> 7 -> 3
    connected = features * hidden + hidden * 10 if hidden else features * 10
    assert sum(p.numel() for p in backbone.parameters()) == convolutions + connected


def test_connected_sites_end_no_stage() -> None:
    _, infos = build(VGGConfig(width=4, stages=1, hidden=32, vote=3, readout="spikes"), (1, 8, 8))
    assert infos == [
        SiteInfo(0, 0, 4, (8, 8), True, 1),
        SiteInfo(1, 1, 32, (1, 1), False, 1),
        SiteInfo(2, 1, 30, (1, 1), False, 1),
    ]


def test_votes_are_averaged_by_group() -> None:
    spikes = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0]).expand(2, 1, 6)
    signal = Signal(spikes, 2, Kind.BINARY, torch.tensor([1.0, 3.0]), delay=2)
    out = Vote(3)(signal)
    torch.testing.assert_close(out.values, torch.tensor([[[2 / 3, 1 / 3]], [[2.0, 1.0]]]))
    assert (out.kind, out.delay) == (Kind.ANALOG, 2)
    assert Vote(3).operations(signal) == Operations(adds=6)  # three spikes at each of two steps


def test_voted_spikes_are_outputs() -> None:
    backbone, _ = build(VGGConfig(width=4, vote=5, readout="spikes"), (1, 8, 8), outputs=4)
    out = backbone(Signal(4 * torch.rand(1, 3, 1, 8, 8), 2, Kind.ANALOG))
    assert out.values.shape == (2, 3, 4)
    torch.testing.assert_close(5 * out.values, (5 * out.values).round())  # fifths


def test_input_that_is_no_image_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^backbone 'vgg' needs images \(channels, height, width\), not shape \(64,\)$"
    ):
        build(VGGConfig(), (64,))
