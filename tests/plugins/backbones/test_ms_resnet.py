from __future__ import annotations

import pytest
import torch

from spikefront.plugins import Kind, Signal, SiteInfo, load_registry
from spikefront.plugins.backbones.ms_resnet import LAYOUTS, MSResNet, MSResNetConfig
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import UsageError, from_flat


def build(config: MSResNetConfig, input_shape: tuple[int, ...], outputs: int = 10) -> tuple[MSResNet, list[SiteInfo]]:
    sites = NumberedSites(LIF)
    backbone = MSResNet(config, input_shape=input_shape, outputs=outputs, sites=sites)
    sites.finish()
    return backbone, [site.info for site in sites.made]


def arithmetic(width: int, layout: tuple[int, ...], channels: int, outputs: int) -> int:
    """Weights of all convolutions, two per normed channel, and the read-out with its bias."""
    total = 9 * channels * width + 2 * width
    before = width
    for stage, blocks in enumerate(layout):
        out = width * 2 ** (stage + 1)
        total += before * out + 2 * out  # shortcut of the first block
        total += 9 * before * out + (2 * blocks - 1) * 9 * out * out + 2 * blocks * 2 * out
        before = out
    return total + before * outputs + outputs


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("width", "channels"), [(4, 1), (6, 3)])
def test_parameters_are_those_of_the_arithmetic(layout: str, width: int, channels: int) -> None:
    backbone, _ = build(MSResNetConfig(width=width, layout=layout), (channels, 16, 16))
    assert sum(p.numel() for p in backbone.parameters()) == arithmetic(width, LAYOUTS[layout], channels, 10)


@pytest.mark.parametrize(
    ("coding", "outputs", "parameters"),
    # GAC: 6 * 3 * 2 weights over time, 2 * 64 * 64 * 4 * 4 over channels and space; of these 12.63 M are published
    [("direct", 10, 12_502_090), ("gac", 10, 12_502_090 + 36 + 131_072), ("gac", 100, 12_679_368)],
)
def test_the_network_of_gac_has_the_published_parameters(coding: str, outputs: int, parameters: int) -> None:
    flat = {
        "task": "digits",
        "coding": coding,
        "steps": 6,
        "backbone": "ms-resnet",
        "backbone.ms-resnet.width": 64,
        "backbone.ms-resnet.layout": "resnet-18",
    }
    registry = load_registry(third_parties=False)
    network = assemble(from_flat(flat, registry), registry, (3, 32, 32), outputs)
    assert network.parameter_count == parameters


def test_a_stage_ends_with_the_neurons_that_read_its_sum() -> None:
    _, infos = build(MSResNetConfig(width=4, layout="small"), (1, 9, 14))
    assert infos == [
        SiteInfo(0, 0, 4, (9, 14), False, 2),  # stem
        SiteInfo(1, 0, 4, (9, 14), False, 2),
        SiteInfo(2, 0, 8, (9, 14), False, 2),
        SiteInfo(3, 0, 8, (9, 14), True, 2),  # in front of the stride
        SiteInfo(4, 1, 16, (5, 7), False, 2),
        SiteInfo(5, 1, 16, (5, 7), True, 2),  # in front of the mean
    ]


def test_readout_of_spikes_adds_a_site_that_ends_no_stage() -> None:
    _, infos = build(MSResNetConfig(layout="tiny", readout="spikes"), (1, 8, 8))
    assert infos[-1] == SiteInfo(4, 1, 10, (1, 1), False, 1)


def test_silent_blocks_pass_the_sum_on() -> None:
    """With all normed weights 0, nothing but the shortcut gets through a block."""
    backbone, _ = build(MSResNetConfig(width=4, layout="medium"), (1, 8, 8))
    block = backbone.get_submodule("layers.3")  # the second one: its shortcut is the identity
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.zeros_(module.weight)
    x = Signal(torch.randn(2, 3, 8, 8, 8), 2, Kind.ANALOG)
    torch.testing.assert_close(block(x).values, x.values)


def test_input_that_is_no_image_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^backbone 'ms-resnet' needs images \(channels, height, width\), not shape \(64,\)$"
    ):
        build(MSResNetConfig(), (64,))
