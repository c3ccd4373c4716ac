"""What tests of integer neurons share: a perceptron of them, whose biases matter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from spikefront.plugins import Neuron, SiteFactory
from spikefront.plugins.backbones.mlp import MLP, MLPConfig
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.contracts.plugin import InputKind
from spikefront.runners.judging.network import Network


def perceptron(
    neuron: Callable[[], Neuron], shape: tuple[int, ...], *, outputs: int, steps: int, inputs: InputKind = "static"
) -> Network:
    """Return a network of two hidden layers of 32 neurons, in eval mode."""
    torch.manual_seed(0)
    coding = Direct(steps=steps)
    sites = SiteFactory(neuron, coding, None)
    backbone = MLP(MLPConfig(width=32, depth=2), input_shape=shape, outputs=outputs, sites=sites)
    sites.finish()
    made = Network(coding, backbone, inputs).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.weight, 1.0, 4.0)
    return made
