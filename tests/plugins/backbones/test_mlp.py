from __future__ import annotations

import pytest
from torch import nn

from spikefront.plugins import SiteInfo, Synapse
from spikefront.plugins.backbones.mlp import MLP, MLPConfig
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites


def build(config: MLPConfig, input_shape: tuple[int, ...] = (1, 8, 8)) -> tuple[MLP, list[SiteInfo]]:
    sites = NumberedSites(LIF)
    return MLP(config, input_shape=input_shape, outputs=10, sites=sites), [site.info for site in sites.made]


@pytest.mark.parametrize(("width", "depth"), [(32, 1), (20, 3)])
def test_parameters_are_those_of_the_arithmetic(width: int, depth: int) -> None:
    mlp, _ = build(MLPConfig(width=width, depth=depth), (2, 5, 5))
    hidden = 50 * width + (depth - 1) * width * width + depth * 2 * width  # weights and two per normed feature
    assert sum(parameter.numel() for parameter in mlp.parameters()) == hidden + width * 10 + 10


def test_sites_follow_the_hidden_layers() -> None:
    _, infos = build(MLPConfig(width=16, depth=2))
    assert infos == [SiteInfo(0, 0, 16, (1, 1), False), SiteInfo(1, 0, 16, (1, 1), True)]


def test_readout_of_spikes_adds_a_site() -> None:
    mlp, infos = build(MLPConfig(width=16, readout="spikes"))
    assert infos[-1] == SiteInfo(1, 1, 10, (1, 1), False)
    assert isinstance(mlp.layers, nn.Sequential)
    assert not isinstance(mlp.layers[-1], Synapse)
