"""Measure the nets of ``neurobench_nets`` with NeuroBench's harness; JSON on standard output.

A script, never imported. It needs no network. ``neurobench.json`` beside it was written so:

    pip install --no-deps neurobench==2.3.0 snntorch==1.0.0 && python tests/runners/judging/run_neurobench.py
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import snntorch
import torch
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import ConnectionSparsity, Footprint
from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
from neurobench.models import SNNTorchModel, TorchModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.plugins.energy.peer_nets import set_weights
from tests.runners.judging.neurobench_nets import (
    KEEP,
    NETS,
    SAMPLES,
    STEPS,
    THRESHOLD,
    feedback,
    inputs,
    network,
)


def neurons() -> nn.Module:
    made: nn.Module = snntorch.Leaky(KEEP, THRESHOLD, reset_mechanism="zero", reset_delay=False, init_hidden=True)
    return made


class Recurrent(nn.Module):
    """Neurons that also get their own spikes of the step before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.back = nn.Linear(channels, channels, bias=False)
        self.back.weight.data = feedback(channels)
        self.neurons = neurons()
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        last = torch.zeros(len(x), self.channels) if self.last is None else self.last
        fired: Tensor = self.neurons(x + self.back(last))
        self.last = fired
        return fired


class Net(nn.Module):
    """One step of a network, as the harness asks for it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(built(one) for one in NETS[name]))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.layers(x), None

    def reset(self) -> None:
        for module in self.modules():
            if isinstance(module, snntorch.Leaky):
                module.reset_mem()
            if isinstance(module, Recurrent):
                module.last = None


def built(one: tuple[Any, ...]) -> nn.Module:
    match one:
        case ("conv", inside, outside, stride, bias):
            conv = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=bool(bias))
            set_weights(conv)
            return conv
        case ("linear", inside, outside):
            linear = nn.Linear(inside, outside)
            set_weights(linear)
            return linear
        case ("recurrent", channels, _):
            return Recurrent(channels)
        case ("pool",):
            return nn.AvgPool2d(2)
        case ("flatten",):
            return nn.Flatten()
    return neurons()


def measured(name: str) -> dict[str, Any]:
    x = inputs(name)
    data = x.expand(STEPS, *x.shape[1:]).transpose(0, 1).contiguous()  # the harness has samples first
    loader = DataLoader(TensorDataset(data, torch.zeros(SAMPLES)), batch_size=SAMPLES)
    workload = [ActivationSparsity, SynapticOperations, MembraneUpdates]
    found = Benchmark(SNNTorchModel(Net(name)), loader, [], [], [[], workload]).run(quiet=True)
    ours = TorchModel(network(name))  # theirs has buffers of snnTorch's neurons
    return {"Footprint": Footprint()(ours), "ConnectionSparsity": ConnectionSparsity()(ours), **found}


document = {
    "made_by": "tests/runners/judging/run_neurobench.py",
    "neurobench": version("neurobench"),
    "snntorch": version("snntorch"),
    "torch": version("torch"),
    "nets": {name: measured(name) for name in NETS},
}
print(json.dumps(document, indent=1))
