from __future__ import annotations

import pytest

from spikefront.plugins import AvgPool, MaxPool, SiteInfo
from spikefront.plugins.backbones.convnet import ConvNet, ConvNetConfig
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites
from spikefront.searchspace import UsageError


def build(config: ConvNetConfig, input_shape: tuple[int, ...]) -> tuple[ConvNet, list[SiteInfo]]:
    sites = NumberedSites(LIF)
    return ConvNet(config, input_shape=input_shape, outputs=10, sites=sites), [site.info for site in sites.made]


@pytest.mark.parametrize(
    ("width", "stages", "input_shape", "parameters"),
    [
        # 3x3 kernels, two per normed channel; maps 8 -> 4 -> 2
        (16, 2, (1, 8, 8), 9 * 16 + 32 + 9 * 16 * 32 + 64 + 32 * 2 * 2 * 10 + 10),
        # 28 -> 14 -> 7 -> 3, the odd row and column dropped
        (4, 3, (1, 28, 28), 9 * 4 + 8 + 9 * 4 * 8 + 16 + 9 * 8 * 16 + 32 + 16 * 3 * 3 * 10 + 10),
        # 32 -> 16, not square: 20 -> 10
        (8, 1, (3, 32, 20), 9 * 3 * 8 + 16 + 8 * 16 * 10 * 10 + 10),
    ],
)
def test_parameters_are_those_of_the_arithmetic(
    width: int, stages: int, input_shape: tuple[int, ...], parameters: int
) -> None:
    convnet, _ = build(ConvNetConfig(width=width, stages=stages), input_shape)
    assert sum(parameter.numel() for parameter in convnet.parameters()) == parameters


def test_each_stage_doubles_the_channels_and_halves_the_map() -> None:
    _, infos = build(ConvNetConfig(width=4, stages=4), (1, 28, 28))
    assert [(info.stage, info.channels, info.size) for info in infos] == [
        (0, 4, (28, 28)),
        (1, 8, (14, 14)),
        (2, 16, (7, 7)),
        (3, 32, (3, 3)),
    ]
    assert all(info.last_of_stage for info in infos)


def test_map_of_one_pixel_is_not_pooled_further() -> None:
    _, infos = build(ConvNetConfig(width=4, stages=4), (1, 2, 4))
    assert [info.size for info in infos] == [(2, 4), (1, 2), (1, 2), (1, 2)]


@pytest.mark.parametrize(("pool", "layer"), [("max", MaxPool), ("avg", AvgPool)])
def test_config_chooses_the_pooling(pool: str, layer: type) -> None:
    convnet, _ = build(ConvNetConfig(stages=3, pool=pool), (1, 8, 8))
    assert sum(isinstance(module, layer) for module in convnet.modules()) == 3


def test_readout_of_spikes_adds_a_site() -> None:
    _, infos = build(ConvNetConfig(stages=2, readout="spikes"), (1, 8, 8))
    assert infos[-1] == SiteInfo(2, 2, 10, (1, 1), False)


def test_input_that_is_no_image_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^backbone 'convnet' needs images \(channels, height, width\), not shape \(64,\)$"
    ):
        build(ConvNetConfig(), (64,))
