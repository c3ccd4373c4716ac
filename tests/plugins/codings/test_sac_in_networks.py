"""Spike attention coding in whole networks: what it costs, and that it trains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import SiteFactory
from spikefront.plugins.backbones.convnet import ConvNet
from spikefront.plugins.backbones.mlp import MLP
from spikefront.plugins.codings.sac import SAC, SACConfig, StepCoefficients
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network

PRESETS = ("rate", "count", "phase", "ttfs-linear", "ttfs-exp", "first", "last")


# Operations of a network


def network(coding: SAC, *, conv: bool) -> Network:
    sites = SiteFactory(lambda: LIF(surrogate=ATan()), coding)
    backbone = (ConvNet if conv else MLP)(input_shape=(1, 8, 8), outputs=4, sites=sites)
    sites.finish()
    torch.manual_seed(0)
    for module in (*coding.modules(), *backbone.modules()):
        if isinstance(module, StepCoefficients) and module.fixed is None:
            nn.init.uniform_(module.u)
    net = Network(coding, backbone)
    with torch.no_grad():
        for _ in range(20):  # until the running statistics make neurons fire
            net(torch.rand(16, 1, 8, 8))
    return net


@pytest.mark.parametrize("conv", [False, True], ids=["mlp", "convnet"])
@pytest.mark.parametrize("scope", ["layer", "channel", "input", "readout"])
def test_synapses_behind_weighted_spikes_stay_accumulate_only(scope: str, conv: bool) -> None:
    net = network(SAC(SACConfig(scope=scope), steps=4), conv=conv)
    counts = count_operations(net, torch.rand(3, 1, 8, 8))
    first, *behind = (layer for layer in counts.layers if layer.role == "synapse" and layer.geometry is not None)
    assert first.macs > 0  # the input is analog
    assert first.macs_every_step == 4 * first.macs  # and constant
    assert all(layer.macs == 0 for layer in behind)
    assert sum(layer.sops for layer in behind) > 0
    for layer_count in behind:
        assert layer_count.geometry is not None
        weighted = 4 * 3 * layer_count.geometry.outputs  # steps, samples
        assert layer_count.operations.multiplies == (weighted if scope in ("layer", "channel") else 0)
    assert first.geometry is not None
    assert first.operations.multiplies == (4 * 3 * first.geometry.outputs if scope == "input" else 0)
    assert counts.layers[-1].operations.multiplies == (4 * 3 * 4 if scope == "readout" else 0)


def test_free_presets_cost_what_plain_spikes_cost() -> None:
    x = torch.rand(3, 1, 8, 8)
    nets = [network(SAC(SACConfig(scope="layer", preset=preset), steps=4), conv=False) for preset in ("count", "rate")]
    nets[1].backbone.load_state_dict(nets[0].backbone.state_dict() | _fixed(nets[1]))
    plain, rate = (count_operations(net, x) for net in nets)
    assert plain.sops == rate.sops > 0
    assert sum(layer.operations.multiplies for layer in plain.layers if layer.role == "synapse") == 0
    assert sum(layer.operations.multiplies for layer in rate.layers if layer.role == "synapse") == 0


def _fixed(net: Network) -> dict[str, Tensor]:
    return {name: value for name, value in net.backbone.state_dict().items() if name.endswith("fixed")}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scope", ["layer", "channel", "input", "readout"])
def test_each_preset_trains_the_weights_of_a_network(scope: str, preset: str) -> None:
    net = network(SAC(SACConfig(scope=scope, preset=preset), steps=4), conv=False)
    net(torch.rand(3, 1, 8, 8)).square().sum().backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
