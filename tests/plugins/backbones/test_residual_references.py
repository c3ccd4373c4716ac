"""Residual networks against loops: one time step after the other, batch norm by itself, shortcuts by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins import Backbone, Kind, Signal, Synapse
from spikefront.plugins.backbones import ms_resnet, sew_resnet
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites

STEPS = 5


class Reference:
    """One step of a network at a time; LIF with tau = 2, threshold 1 and a hard reset to 0."""

    def __init__(self, backbone: Backbone) -> None:
        self.synapses = [module for module in backbone.modules() if isinstance(module, Synapse)]
        self.potentials: dict[int, Tensor] = {}
        self.spikes = 0

    def start(self) -> None:
        self.weights: Iterator[Synapse] = iter(self.synapses)
        self.site = 0

    def convolve(self, x: Tensor, stride: int = 1) -> Tensor:
        synapse = next(self.weights)
        weight, norm = synapse.weight.weight, synapse.norm
        assert norm is not None
        y = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    def fire(self, x: Tensor) -> Tensor:
        v = self.potentials.get(self.site, torch.zeros_like(x))
        h = v + (x - v) / 2
        s = (h >= 1).to(x)
        self.potentials[self.site] = h * (1 - s)
        self.site += 1
        self.spikes += int(s.sum())
        return s

    def read_out(self, x: Tensor) -> Tensor:
        last = next(self.weights).weight
        return F.linear(x.mean((2, 3)), last.weight, last.bias)

    def ms_resnet(self, x: Tensor, layout: tuple[int, ...]) -> Tensor:
        x = self.fire(self.convolve(x))
        for stage, blocks in enumerate(layout):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                y = self.convolve(self.fire(self.convolve(self.fire(x), stride)))
                x = y + (self.convolve(x, stride) if block == 0 else x)
        return self.read_out(self.fire(x))

    def sew_resnet(self, x: Tensor, layout: tuple[int, ...], connect: str) -> Tensor:
        x = self.fire(self.convolve(x))
        for stage, blocks in enumerate(layout):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                a = self.fire(self.convolve(self.fire(self.convolve(x, stride))))
                s = self.fire(self.convolve(x, 2)) if stride == 2 else x
                x = {"add": a + s, "and": a * s, "iand": (1 - a) * s}[connect]
        return self.read_out(x)


def excited(plugin: type[Backbone], config: object) -> Backbone:
    """Return a network in eval mode whose norms have statistics of their own, positive enough to let neurons fire."""
    sites = NumberedSites(LIF)
    backbone = plugin(config, input_shape=(2, 7, 10), outputs=3, sites=sites).double().eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.2, 0.6)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.0, 2.0)
    return backbone


def signals() -> list[Signal]:
    changing = Signal(torch.rand(STEPS, 3, 2, 7, 10, dtype=torch.float64), STEPS, Kind.ANALOG)
    return [changing, replace(changing, values=changing.values[:1])]


@pytest.mark.parametrize("layout", ms_resnet.LAYOUTS)
@torch.no_grad()
def test_ms_resnet_does_what_the_loop_does(layout: str) -> None:
    backbone = excited(ms_resnet.MSResNet, ms_resnet.MSResNetConfig(width=4, layout=layout))
    for signal in signals():
        reference = Reference(backbone)
        for x, out in zip(signal.values.expand(STEPS, -1, -1, -1, -1), backbone(signal).values, strict=True):
            reference.start()
            torch.testing.assert_close(out, reference.ms_resnet(x, ms_resnet.LAYOUTS[layout]))
        assert reference.spikes > 0


@pytest.mark.parametrize("connect", ["add", "and", "iand"])
@pytest.mark.parametrize("layout", ["small", "medium", "resnet-18"])
@torch.no_grad()
def test_sew_resnet_does_what_the_loop_does(layout: str, connect: str) -> None:
    config = sew_resnet.SEWResNetConfig(width=4, layout=layout, connect=connect)
    backbone = excited(sew_resnet.SEWResNet, config)
    for signal in signals():
        reference = Reference(backbone)
        for x, out in zip(signal.values.expand(STEPS, -1, -1, -1, -1), backbone(signal).values, strict=True):
            reference.start()
            torch.testing.assert_close(out, reference.sew_resnet(x, sew_resnet.LAYOUTS[layout], connect))
        assert reference.spikes > 0
