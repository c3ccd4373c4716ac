"""Networks of users of snnTorch and SpikingJelly, as their tutorials write them."""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn


class Jelly(nn.Module):
    """A convolutional network of SpikingJelly in multi-step mode, which repeats its input and takes the mean rate."""

    def __init__(self, steps: int = 4) -> None:
        super().__init__()
        self.steps = steps
        self.conv_fc = nn.Sequential(
            layer.Conv2d(1, 8, 3, padding=1, bias=False),
            layer.BatchNorm2d(8),
            neuron.LIFNode(tau=2.0),
            layer.MaxPool2d(2, 2),
            layer.Conv2d(8, 8, 3, padding=1),
            neuron.LIFNode(tau=2.0),
            layer.AvgPool2d(2, 2),
            layer.Flatten(),
            layer.Dropout(0.2),
            layer.Linear(8 * 4, 10),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        x_seq = x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1)
        rates: Tensor = self.conv_fc(x_seq).mean(0)
        return rates


class Looping(nn.Module):
    """A perceptron of snnTorch with its loop over time, which returns spikes and potentials of all steps."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 30)
        self.lif1 = snntorch.Leaky(0.5, reset_mechanism="zero")
        self.fc2 = nn.Linear(30, outputs)
        self.lif2 = snntorch.Leaky(0.5, reset_mechanism="zero")

    def forward(self, x: Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(5):
            spk1, mem1 = self.lif1(self.fc1(x.view(x.size(0), -1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


class Residual(nn.Module):
    """A block whose spikes are added to those it goes around, then an average of each map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.fires0 = nn.Conv2d(1, 4, 3, padding=1), neuron.LIFNode(tau=2.0)
        self.conv1, self.norm1, self.fires1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), neuron.LIFNode(tau=2.0)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = self.fires0(self.conv0(x))
        summed = first + self.fires1(self.norm1(self.conv1(first)))
        out: Tensor = self.fc(torch.flatten(self.pool(summed), 1))
        return out
